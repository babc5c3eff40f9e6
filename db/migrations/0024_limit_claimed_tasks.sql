-- A task with `concurrency` holds a slot of it while a worker has the task: its limit, as it was when the step was parked.
alter table workflow_tasks add column if not exists limit_id uuid;
alter table workflow_tasks add column if not exists limit_key text;
alter table workflow_tasks add column if not exists limit_count integer;
create index if not exists workflow_tasks_limited
  on workflow_tasks (queue, limit_id, limit_count) where token is null and limit_id is not null;
