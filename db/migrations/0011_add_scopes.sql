-- Scopes: each is one run of the steps inside a step, which is its holder. A scope is decided like an execution: it has a
-- status and a sequence of its own. Its steps carry its path, and the id of its holder.

alter table workflow_step_executions add column if not exists holder_id uuid;

create table if not exists workflow_scopes (
  -- The holder.
  step_execution_id uuid not null references workflow_step_executions (id) on delete cascade,
  index integer not null,
  workflow_execution_id uuid not null,
  run integer not null,
  created_at timestamptz not null default now(),
  path text not null,
  status text not null,
  sequence bigint not null,
  stop_requested_at timestamptz,
  completed_at timestamptz,
  outputs jsonb,
  error jsonb,
  primary key (step_execution_id, index),
  constraint workflow_scopes_status_known check (status in ('running', 'completed', 'failed', 'cancelled'))
);
alter table workflow_scopes set (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- The numbers of a holder's scopes.
create table if not exists workflow_held_scopes (
  step_execution_id uuid primary key references workflow_step_executions (id) on delete cascade,
  run integer not null,
  total integer not null,
  next_index integer not null,
  again integer[] not null default '{}',
  open_count integer not null,
  completed_count integer not null,
  failed_count integer not null,
  cancelled_count integer not null,
  concurrency integer not null,
  tolerated integer,
  first_failure jsonb
);
alter table workflow_held_scopes set (fillfactor = 20, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- The items of a holder, some in each row: a scope reads its own by its index.
create table if not exists workflow_scope_items (
  step_execution_id uuid not null references workflow_step_executions (id) on delete cascade,
  first_index integer not null,
  items jsonb not null,
  primary key (step_execution_id, first_index)
);

-- Events for views that the sender did not hold. Rows are only inserted, and deleted by the commit that has read them.
create table if not exists workflow_inbox (
  id uuid primary key,
  workflow_execution_id uuid not null references workflow_executions (id) on delete cascade,
  -- The name of the scope whose view gets the event; empty: the top level.
  scope text not null default '',
  step_execution_id uuid not null,
  event jsonb not null
);
alter table workflow_inbox set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
create index if not exists workflow_inbox_view on workflow_inbox (workflow_execution_id, scope);
