-- Signals of executions: kept until a step waits for them. A used one stays as long as its execution, without its payload:
-- its id counts once.
create table if not exists workflow_signals (
  id bigint generated always as identity primary key,
  workflow_execution_id uuid not null references workflow_executions (id) on delete cascade,
  name text not null,
  -- Only waits in this scope may use it; null: in any.
  scope text,
  signal_id text,
  -- Tells whether a signal with the same id is the same one, also once the payload is gone.
  payload_hash text not null,
  payload jsonb,
  received_at timestamptz not null default now(),
  used_at timestamptz,
  -- The step whose wait it ended; null: none, it did not fit the schema of the wait whose turn it was.
  step_execution_id uuid,
  refusal text
);
create index if not exists workflow_signals_kept on workflow_signals (workflow_execution_id, name, id) where used_at is null;
create index if not exists workflow_signals_of_execution on workflow_signals (workflow_execution_id);
create unique index if not exists workflow_signals_once
  on workflow_signals (workflow_execution_id, signal_id) where signal_id is not null;
