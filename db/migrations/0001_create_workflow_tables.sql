-- Templates (which a main server may own) and the three tables of executions, with at least the columns that main servers know.
-- Every statement can meet a table that is there already: what is missing is added, nothing else is touched.

do $$
declare
  owned record;
begin
  for owned in
    select c.table_name, c.data_type
      from information_schema.columns c
     where c.table_schema = current_schema()
       and c.table_name in ('workflow_templates', 'workflow_step_templates')
       and c.column_name = 'id'
       and c.data_type <> 'uuid'
  loop
    raise exception 'table %.% has an id of type %, but the engine needs uuid: rename that table or give the engine a database or schema of its own',
      current_schema(), owned.table_name, owned.data_type;
  end loop;
end
$$;

-- UUIDv7 (RFC 9562 section 5.7): rows that come in one after the other stay together in the index.
create or replace function execution_engine_uuidv7() returns uuid
language sql volatile parallel safe as $$
  select encode(
    set_bit(
      set_bit(
        overlay(uuid_send(gen_random_uuid())
                placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
                from 1 for 6),
        52, 1),
      53, 1),
    'hex')::uuid
$$;

create table if not exists workflow_templates (
  id uuid primary key default gen_random_uuid(),
  name text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
alter table workflow_templates
  add column if not exists description text,
  add column if not exists workspace_id uuid,
  add column if not exists version integer,
  add column if not exists definition jsonb,
  add column if not exists definition_source text,
  add column if not exists definition_hash text,
  add column if not exists archived_at timestamptz,
  add column if not exists created_at timestamptz not null default now(),
  add column if not exists updated_at timestamptz not null default now();
create unique index if not exists workflow_templates_workspace_name_version
  on workflow_templates (workspace_id, name, version) where workspace_id is not null and definition_source is not null;
create unique index if not exists workflow_templates_name_version
  on workflow_templates (name, version) where workspace_id is null and definition_source is not null;

create table if not exists workflow_step_templates (
  id uuid primary key default gen_random_uuid(),
  workflow_template_id uuid not null references workflow_templates (id) on delete cascade
);
alter table workflow_step_templates
  add column if not exists workflow_template_id uuid references workflow_templates (id) on delete cascade,
  add column if not exists key text,
  add column if not exists type text,
  add column if not exists position integer,
  add column if not exists definition jsonb;
create unique index if not exists workflow_step_templates_key
  on workflow_step_templates (workflow_template_id, key);

create table if not exists workflow_executions (
  id uuid primary key default execution_engine_uuidv7(),
  workflow_template_id uuid not null references workflow_templates (id),
  status text not null default 'pending',
  inputs jsonb,
  outputs jsonb,
  user_id uuid,
  workspace_id uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  completed_at timestamptz
);
alter table workflow_executions
  add column if not exists sequence bigint not null default 0,
  add column if not exists priority integer not null default 0,
  add column if not exists tags text[] not null default '{}',
  add column if not exists idempotency_key text,
  add column if not exists requested_version integer,
  add column if not exists callback_url text,
  add column if not exists start_after timestamptz,
  add column if not exists started_at timestamptz,
  add column if not exists stop_requested_at timestamptz,
  add column if not exists stop_reason text,
  add column if not exists error jsonb;

-- What a step's end changes comes last: PostgreSQL logs an updated row from its first changed byte on.
create table if not exists workflow_step_executions (
  id uuid primary key default execution_engine_uuidv7(),
  workflow_execution_id uuid not null references workflow_executions (id) on delete cascade,
  step_template_id uuid not null references workflow_step_templates (id),
  created_at timestamptz not null default now(),
  started_at timestamptz,
  required_inputs integer not null default 0,
  attempt_count integer not null default 0,
  retry_count integer not null default 0,
  scope text not null default '',
  received_inputs jsonb[] not null default '{}',
  status text not null default 'waiting_inputs',
  sequence bigint not null default 0,
  updated_at timestamptz not null default now(),
  completed_at timestamptz,
  claimed_by uuid,
  outputs jsonb,
  error text
);
alter table workflow_step_executions
  add column if not exists scope text not null default '',
  add column if not exists sequence bigint not null default 0,
  add column if not exists claimed_by uuid,
  add column if not exists retry_count integer not null default 0,
  add column if not exists routes text[],
  add column if not exists error_code text,
  add column if not exists error_details jsonb,
  add column if not exists started_at timestamptz,
  add column if not exists parked_at timestamptz,
  add column if not exists parked_state jsonb,
  add column if not exists resume_at timestamptz;

create table if not exists workflow_input_tracker (
  id uuid primary key default execution_engine_uuidv7(),
  step_execution_id uuid not null references workflow_step_executions (id) on delete cascade,
  from_step_execution_id uuid not null references workflow_step_executions (id) on delete cascade,
  input_data jsonb,
  received_at timestamptz not null default now(),
  unique (step_execution_id, from_step_execution_id)
);
alter table workflow_input_tracker
  add column if not exists live boolean not null default true,
  add column if not exists route text;

-- Tables that someone made from an older description have timestamps without a zone; they were written in UTC.
do $$
declare
  old record;
begin
  for old in
    select c.table_name, c.column_name
      from information_schema.columns c
     where c.table_schema = current_schema()
       and c.table_name in ('workflow_executions', 'workflow_step_executions', 'workflow_input_tracker')
       and c.data_type = 'timestamp without time zone'
  loop
    execute format('alter table %I alter column %I type timestamptz using %I at time zone ''UTC''',
      old.table_name, old.column_name, old.column_name);
  end loop;
end
$$;

alter table workflow_executions drop constraint if exists workflow_executions_status_known;
alter table workflow_executions add constraint workflow_executions_status_known check
  (status in ('pending', 'running', 'paused', 'completed', 'failed', 'cancelled', 'timed_out')) not valid;
alter table workflow_step_executions drop constraint if exists workflow_step_executions_status_known;
alter table workflow_step_executions add constraint workflow_step_executions_status_known check
  (status in ('waiting_inputs', 'queued', 'running', 'waiting', 'retrying',
              'completed', 'failed', 'skipped', 'cancelled')) not valid;

-- A step starts at most once per scope: one row per step of a scope. It also finds the rows of an execution.
create unique index if not exists workflow_step_executions_scope_step
  on workflow_step_executions (workflow_execution_id, scope, step_template_id);
create index if not exists workflow_executions_workspace on workflow_executions (workspace_id, id);
create index if not exists workflow_executions_open
  on workflow_executions (status, id) where status in ('pending', 'running', 'paused');
-- What begins next: workspaces in turn, then priority, then start time.
create index if not exists workflow_executions_pending
  on workflow_executions (coalesce(workspace_id, '00000000-0000-0000-0000-000000000000'), priority desc, id)
  where status = 'pending' and start_after is null;
create unique index if not exists workflow_executions_workspace_idempotency
  on workflow_executions (workspace_id, idempotency_key) where idempotency_key is not null and workspace_id is not null;
create unique index if not exists workflow_executions_idempotency
  on workflow_executions (idempotency_key) where idempotency_key is not null and workspace_id is null;

-- Rows are updated a few times soon after they are written: room on the page keeps those updates in place (HOT).
alter table workflow_executions set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
alter table workflow_step_executions set (fillfactor = 45, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- Engine processes that are alive, or were.
create table if not exists execution_engines (
  id uuid primary key,
  role text not null,
  host text not null,
  pid integer not null,
  version text not null,
  capacity integer not null,
  running_count integer not null default 0,
  started_at timestamptz not null default now(),
  heartbeat_at timestamptz not null default now()
);
