-- History that outlives a retry. The row of a step tells its last attempt alone, and its last status.

-- When the attempt of the row began, if it is not the first one.
alter table workflow_step_executions add column if not exists attempt_started_at timestamptz;

-- An attempt that did not complete its step, or that a retry has reset: the transition that ended it, and the status that
-- the step got by it. Neither is set for a result that came late: it changed nothing.
alter table workflow_step_attempts add column if not exists workflow_execution_id uuid;
alter table workflow_step_attempts add column if not exists scope text not null default '';
alter table workflow_step_attempts add column if not exists sequence bigint;
alter table workflow_step_attempts add column if not exists status text;
alter table workflow_step_attempts add column if not exists started_at timestamptz;
create index if not exists workflow_step_attempts_history
  on workflow_step_attempts (workflow_execution_id, scope, sequence) where sequence is not null;

-- Final statuses of steps that were reset since.
create table if not exists workflow_step_statuses (
  step_execution_id uuid not null references workflow_step_executions (id) on delete cascade,
  sequence bigint not null,
  workflow_execution_id uuid not null,
  scope text not null,
  status text not null,
  attempt integer not null,
  error_code text,
  at timestamptz not null,
  primary key (step_execution_id, sequence)
);
create index if not exists workflow_step_statuses_history
  on workflow_step_statuses (workflow_execution_id, scope, sequence);

-- Statuses that an execution had after it began and before it ended, and ends before a reset.
create table if not exists workflow_execution_statuses (
  workflow_execution_id uuid not null references workflow_executions (id) on delete cascade,
  sequence bigint not null,
  status text not null,
  at timestamptz not null,
  primary key (workflow_execution_id, sequence)
);
