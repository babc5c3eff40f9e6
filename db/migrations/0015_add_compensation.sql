-- Executions that failed, timed out or were stopped undo completed steps before they are final.
alter table workflow_executions drop constraint if exists workflow_executions_status_known;
alter table workflow_executions add constraint workflow_executions_status_known check
  (status in ('pending', 'running', 'paused', 'compensating', 'completed', 'failed', 'cancelled', 'timed_out')) not valid;
-- The status that follows.
alter table workflow_executions add column if not exists due_status text;
create index if not exists workflow_executions_compensating on workflow_executions (id) where status = 'compensating';
