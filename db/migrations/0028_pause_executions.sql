-- The pause of an execution: since when, and the parent that was paused with it. An execution with open incidents is paused too,
-- and may have neither.
alter table workflow_executions
  add column if not exists paused_at timestamptz,
  add column if not exists paused_by uuid;
