-- The pause of an execution: since when, and the parent that was paused with it. An execution with open incidents is paused too,
-- and may have neither.
alter table workflow_executions
  add column if not exists paused_at timestamptz,
  add column if not exists paused_by uuid;

-- Open incidents: steps that would have failed for good, and pause their execution until somebody decides. A row is there
-- exactly while its step is `retrying` without a time. Those of one group are found together, over all versions of a template.
create table if not exists workflow_incidents (
  step_execution_id uuid primary key references workflow_step_executions (id) on delete cascade,
  workflow_execution_id uuid not null,
  -- Workspace, template, step and code, as a hash.
  group_id text not null,
  workspace_id uuid,
  template text not null,
  step text not null,
  code text not null,
  message text not null,
  retryable boolean not null,
  opened_at timestamptz not null default now()
);
create index if not exists workflow_incidents_group on workflow_incidents (group_id, opened_at, step_execution_id);
create index if not exists workflow_incidents_workspace on workflow_incidents (workspace_id, group_id);
