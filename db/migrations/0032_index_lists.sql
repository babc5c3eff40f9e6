-- Lists of executions go by these, each in the order of the list. Those of executions that failed, were cancelled or timed out
-- cost nothing for one that completes; those of workspaces, tags and keys nothing for one that has none.
create index if not exists workflow_executions_roots
  on workflow_executions (created_at, id) where parent_step_id is null;
create index if not exists workflow_executions_of_template
  on workflow_executions (workflow_template_id, created_at, id) where parent_step_id is null;
create index if not exists workflow_executions_of_workspace
  on workflow_executions (workspace_id, created_at, id) where parent_step_id is null and workspace_id is not null;
create index if not exists workflow_executions_not_completed
  on workflow_executions (status, created_at, id)
  where parent_step_id is null and status in ('failed', 'cancelled', 'timed_out');
create index if not exists workflow_executions_not_completed_of_template
  on workflow_executions (workflow_template_id, status, created_at, id)
  where parent_step_id is null and status in ('failed', 'cancelled', 'timed_out');
create index if not exists workflow_executions_not_completed_of_workspace
  on workflow_executions (workspace_id, status, created_at, id)
  where parent_step_id is null and workspace_id is not null and status in ('failed', 'cancelled', 'timed_out');
-- The longest first.
create index if not exists workflow_executions_duration
  on workflow_executions ((completed_at - started_at), id)
  where parent_step_id is null and completed_at is not null and started_at is not null;
create index if not exists workflow_executions_tags
  on workflow_executions using gin (tags) with (fastupdate = off) where tags <> '{}';
create index if not exists workflow_executions_key
  on workflow_executions (idempotency_key) where idempotency_key is not null;
create index if not exists workflow_executions_error_code
  on workflow_executions ((error ->> 'code'))
  where parent_step_id is null and status in ('failed', 'cancelled', 'timed_out');
