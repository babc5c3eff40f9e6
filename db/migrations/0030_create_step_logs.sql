-- Log lines of handlers, as many as are kept of an attempt, each batch with the transition that ended or parked it.
create table if not exists workflow_step_logs (
  step_execution_id uuid not null references workflow_step_executions (id) on delete cascade,
  attempt integer not null,
  sequence bigint not null,
  lines jsonb not null,
  primary key (step_execution_id, attempt, sequence)
);
