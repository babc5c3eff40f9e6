-- The timeout of an attempt that was parked: it runs on while the step waits, and while it waits for its turn.
alter table workflow_step_executions add column if not exists deadline_at timestamptz;
-- What a parked step waits for when no timer wakes it.
alter table workflow_step_executions add column if not exists waiting_for jsonb;
