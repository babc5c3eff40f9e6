-- The acts on executions by hand, or by other programs through the API: one row per act, written in its commit.
create table if not exists workflow_execution_acts (
  id uuid primary key default execution_engine_uuidv7(),
  execution_id uuid not null references workflow_executions (id) on delete cascade,
  -- Of the transition, in the view that the act changed.
  sequence bigint not null,
  at timestamptz not null default now(),
  act text not null,
  status_after text not null,
  -- Path of the scope that the act changed; empty: the top level.
  scope text not null default '',
  -- The step that the act was on; null: the execution.
  step_id uuid,
  -- The caller, as the API knows it; null: not known.
  by text,
  detail jsonb
);
create index if not exists workflow_execution_acts_execution on workflow_execution_acts (execution_id, sequence);

-- Executions that were retried, with the time of the last retry: their timeout counts from then on.
alter table workflow_executions
  add column if not exists resumed_at timestamptz,
  add column if not exists resume_count integer not null default 0;

-- Steps that were reset: how often, and how often after they had completed. Each of the latter gives a new idempotency key.
alter table workflow_step_executions
  add column if not exists reset_count integer not null default 0,
  add column if not exists key_number integer not null default 0,
  -- The act that ended the step by hand: { act, by, at }.
  add column if not exists by_hand jsonb;
