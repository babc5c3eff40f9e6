-- Tasks for workers outside: one row per step of the type task that waits, with its claim. What is to be done is in the
-- step's row. The row of a step that does not wait any more counts for nothing.
create table if not exists workflow_tasks (
  step_execution_id uuid primary key references workflow_step_executions (id) on delete cascade,
  workspace_id uuid,
  queue text not null,
  priority integer not null,
  created_at timestamptz not null default now(),
  lease_ms double precision not null,
  -- Names the claim; null: the task is free.
  token uuid,
  worker text,
  lease_until timestamptz,
  -- Claims in a row whose lease ran out.
  losses integer not null default 0
);
create index if not exists workflow_tasks_free
  on workflow_tasks (queue, priority desc, created_at, step_execution_id) where token is null;
