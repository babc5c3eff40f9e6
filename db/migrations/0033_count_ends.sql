-- Ends of executions at the top that are not counted yet: a row for each, written in the commit of the end and deleted by the
-- commit that counts it. It stands in no relation to the execution, which may be retried or removed before it is counted.
create table if not exists workflow_ended (
  execution_id uuid not null,
  workflow_template_id uuid not null,
  workspace_id uuid,
  status text not null,
  ended_at timestamptz not null,
  -- Null: it ended before it began.
  duration_ms double precision
);
create index if not exists workflow_ended_at on workflow_ended (ended_at);
alter table workflow_ended set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- How many executions ended in a span of time, by their workspace and template, each also for all of them together.
create table if not exists workflow_end_counts (
  -- Length of the span in seconds.
  width integer not null,
  -- An id; empty: without a workspace; *: all.
  workspace text not null,
  -- A name; *: all, which is no name.
  template text not null,
  starts_at timestamptz not null,
  completed bigint not null,
  failed bigint not null,
  cancelled bigint not null,
  timed_out bigint not null,
  -- Pairs of a class of durations and how many were of it.
  durations integer[] not null,
  primary key (width, workspace, template, starts_at)
);

-- Old counts of short spans are deleted.
create index if not exists workflow_end_counts_old on workflow_end_counts (width, starts_at);

-- Ends of before are counted, too.
insert into workflow_ended (execution_id, workflow_template_id, workspace_id, status, ended_at, duration_ms)
select id, workflow_template_id, workspace_id, status, completed_at, extract(epoch from completed_at - started_at) * 1000
  from workflow_executions
 where parent_step_id is null and completed_at is not null
   and status in ('completed', 'failed', 'cancelled', 'timed_out');
