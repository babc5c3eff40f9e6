-- Forks: executions that begin with steps which another execution has finished.
alter table workflow_executions
  -- The source, which may be deleted before the fork.
  add column if not exists forked_from uuid,
  -- SHA-256 of what was asked for: the same idempotency key with another request is refused.
  add column if not exists fork_digest text;
-- The step execution of the source, of which this one has the result. It may be deleted before this one.
alter table workflow_step_executions
  add column if not exists reused_from uuid,
  -- Its join was decided on other edges than it has: in another version of the template, or by whoever gave its output.
  add column if not exists decided_elsewhere boolean not null default false;
