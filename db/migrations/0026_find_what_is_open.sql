-- What is open is found by indexes that hold nothing else: among a hundred thousand items those that run, and the steps that
-- wait. Columns that a step without scopes and waits never changes, so that its row is still updated in place.
create index if not exists workflow_scopes_open on workflow_scopes (step_execution_id, index) where status = 'running';
create index if not exists workflow_step_executions_waits
  on workflow_step_executions (workflow_execution_id, (waiting_for ->> 'name'), scope) where waiting_for is not null;
