-- An execution whose time of retention is over is gone for every reader from the moment this is set; its rows are
-- deleted after that, a bounded number at a time.
alter table workflow_executions add column if not exists removed_at timestamptz;
