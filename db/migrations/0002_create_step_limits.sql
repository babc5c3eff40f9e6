-- What steps with `concurrency` or `rateLimit` share. Steps without limits never touch these tables.

-- One row per kind, workspace and key (and window length): whoever asks for a start locks it.
create table if not exists workflow_step_limits (
  id uuid primary key,
  kind text not null,
  workspace_id uuid,
  -- For people to read: masked and cut short. The id is made from the whole key.
  key text not null,
  -- Of a rate: the end of the last window in which a step was started, and how many were.
  window_ends_at timestamptz,
  window_count integer not null default 0,
  asked_at timestamptz not null default now(),
  constraint workflow_step_limits_kind_known check (kind in ('concurrency', 'rate'))
);

-- Which step may start. A grant counts only while its step's row says so: `queued` and not claimed for a moment,
-- or `running` and claimed. Whatever ends the step frees the slot; grants that do not count are deleted later.
create table if not exists workflow_step_grants (
  step_execution_id uuid primary key,
  -- A new one for every grant, so that an old one is never mistaken for it.
  id uuid not null,
  -- The concurrency limit whose slot it is; null: the step has none.
  limit_id uuid,
  -- The engine that asked.
  owner uuid not null,
  claimed boolean not null default false,
  granted_at timestamptz not null default now(),
  -- The end of the rate's window: the step must start before it.
  ends_at timestamptz
);
create index if not exists workflow_step_grants_limit on workflow_step_grants (limit_id);

alter table workflow_step_limits set (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
alter table workflow_step_grants set (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
