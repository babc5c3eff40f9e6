-- Attempts of a step that were lost because their process died: one that crashes again and again runs alone.
alter table workflow_step_executions add column if not exists crash_count integer not null default 0;
