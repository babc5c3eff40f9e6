-- A step that was cancelled as the loser of a race: its edges are dead, and its execution goes on.
alter table workflow_step_executions add column if not exists lost_race boolean not null default false;

-- Attempts that are not told by the row of their step.
create table if not exists workflow_step_attempts (
  step_execution_id uuid not null references workflow_step_executions (id) on delete cascade,
  attempt integer not null,
  outcome text not null,
  engine_id uuid,
  outputs jsonb,
  error_code text,
  error text,
  error_details jsonb,
  ended_at timestamptz not null default now(),
  primary key (step_execution_id, attempt)
);
