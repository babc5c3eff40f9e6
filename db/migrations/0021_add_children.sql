-- Child executions: each was started by a step of another execution, its parent.

alter table workflow_executions
  add column if not exists parent_execution_id uuid,
  -- The name of the scope that the step is in; empty: the top level.
  add column if not exists parent_scope text,
  -- The step and the attempt of it that started the child. The row of the step may be gone before the child's.
  add column if not exists parent_step_id uuid,
  add column if not exists parent_attempt integer,
  -- Whether the step waits for the end of the child.
  add column if not exists is_awaited boolean,
  -- Its parent undoes what it has completed as soon as the child is final.
  add column if not exists parent_compensates boolean,
  -- The execution at the top of the tree, and the number of executions above; null in the root itself.
  add column if not exists root_execution_id uuid,
  add column if not exists child_depth integer;

-- One child for each attempt.
create unique index if not exists workflow_executions_parent_step
  on workflow_executions (parent_step_id, parent_attempt) where parent_step_id is not null;
create index if not exists workflow_executions_parent
  on workflow_executions (parent_execution_id, id) where parent_execution_id is not null;
create index if not exists workflow_executions_root
  on workflow_executions (root_execution_id, id) where root_execution_id is not null;

-- A parent tells its child to end: that event is not for a step, and outlives the row of the step that started the child.
alter table workflow_inbox alter column step_execution_id drop not null;
