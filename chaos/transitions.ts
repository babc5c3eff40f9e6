/**
 * The log of every change of status: triggers on the engine's tables record it in the transaction that makes it. Its
 * checks do not depend on reports of the engine.
 *
 * Changes of one execution are made one after the other, so their positions are in the order of their commits.
 */
export const TRANSITION_LOG = `
  create schema chaos;
  create table chaos.transitions (
    position bigint generated always as identity primary key,
    execution_id uuid not null, step_id uuid, from_status text, to_status text not null,
    attempt integer, owner uuid, transaction xid8 not null default pg_current_xact_id(),
    at timestamptz not null default clock_timestamp());

  create table chaos.waits (
    position bigint generated always as identity primary key,
    execution_id uuid not null, step_id uuid not null, attempt integer not null, name text not null,
    done boolean not null default false);
  create index on chaos.waits (position) where not done;

  create table chaos.tasks (id uuid primary key);

  create function chaos.note_step() returns trigger language plpgsql as $$
  begin
    if new.status = 'waiting' and new.waiting_for ->> 'kind' = 'signal' then
      insert into chaos.waits (execution_id, step_id, attempt, name)
      values (new.workflow_execution_id, new.id, new.attempt_count, new.waiting_for ->> 'name');
    end if;
    insert into chaos.transitions (execution_id, step_id, from_status, to_status, attempt, owner)
    values (new.workflow_execution_id, new.id, case when tg_op = 'UPDATE' then old.status end, new.status,
            new.attempt_count, new.claimed_by);
    if new.status = 'waiting' and new.waiting_for ->> 'kind' = 'task' then
      insert into chaos.tasks values (new.id) on conflict do nothing;
    end if;
    return null;
  end $$;
  create trigger chaos_insert after insert on workflow_step_executions
    for each row execute function chaos.note_step();
  create trigger chaos_update after update on workflow_step_executions
    for each row when ((old.status, old.attempt_count, old.outputs, old.error)
                       is distinct from (new.status, new.attempt_count, new.outputs, new.error))
    execute function chaos.note_step();

  create function chaos.note_execution() returns trigger language plpgsql as $$
  begin
    insert into chaos.transitions (execution_id, from_status, to_status)
    values (new.id, case when tg_op = 'UPDATE' then old.status end, new.status);
    return null;
  end $$;
  create function chaos.note_stop() returns trigger language plpgsql as $$
  begin
    insert into chaos.transitions (execution_id, from_status, to_status) values (new.id, old.status, 'stopping');
    return null;
  end $$;
  create trigger chaos_stop after update on workflow_executions
    for each row when (old.stop_requested_at is null and new.stop_requested_at is not null)
    execute function chaos.note_stop();
  create trigger chaos_insert after insert on workflow_executions
    for each row execute function chaos.note_execution();
  create trigger chaos_update after update on workflow_executions
    for each row when ((old.status, old.outputs, old.error)
                       is distinct from (new.status, new.outputs, new.error))
    execute function chaos.note_execution();

  create table chaos.scope_transitions (
    position bigint generated always as identity primary key,
    execution_id uuid not null, holder uuid not null, path text not null, run integer not null, from_status text, to_status text not null,
    transaction xid8 not null default pg_current_xact_id());
  create function chaos.note_scope() returns trigger language plpgsql as $$
  begin
    insert into chaos.scope_transitions (execution_id, holder, path, run, from_status, to_status)
    values (new.workflow_execution_id, new.step_execution_id, new.path, new.run,
            case when tg_op = 'UPDATE' and old.run = new.run then old.status end, new.status);
    return null;
  end $$;
  create trigger chaos_insert after insert on workflow_scopes for each row execute function chaos.note_scope();
  create trigger chaos_update after update on workflow_scopes
    for each row when ((old.status, old.run, old.outputs, old.error) is distinct from (new.status, new.run, new.outputs, new.error))
    execute function chaos.note_scope();`;

const FINAL_STEP = `('completed', 'failed', 'skipped', 'cancelled')`;
const FINAL_EXECUTION = `('completed', 'failed', 'cancelled', 'timed_out')`;

/** Each returns violations: the execution, and a word about it. */
export const TRANSITION_CHECKS: Readonly<Record<string, string>> = {
  'a final step was changed': `
    select execution_id, 'step ' || step_id || ': ' || coalesce(from_status, 'new') || ' to ' || to_status as detail
      from chaos.transitions where step_id is not null and from_status in ${FINAL_STEP}`,
  'a final execution was changed': `
    select execution_id, from_status || ' to ' || to_status as detail
      from chaos.transitions where step_id is null and from_status in ${FINAL_EXECUTION}`,
  'a step reached its end twice': `
    select min(execution_id::text) as execution_id, 'step ' || step_id as detail
      from chaos.transitions where step_id is not null and to_status in ${FINAL_STEP}
     group by step_id having count(*) > 1`,
  'an execution reached its end twice': `
    select execution_id, count(*) || ' times' as detail
      from chaos.transitions where step_id is null and to_status in ${FINAL_EXECUTION}
     group by execution_id having count(*) > 1`,
  'a join fired twice': `
    select min(execution_id::text) as execution_id, 'step ' || step_id as detail
      from chaos.transitions
     where step_id is not null and coalesce(from_status, 'waiting_inputs') = 'waiting_inputs'
       and to_status not in ('waiting_inputs', 'cancelled')
     group by step_id having count(*) > 1`,
  'a step moved as no step may': `
    select execution_id, 'step ' || step_id || ': ' || coalesce(from_status, 'new') || ' to ' || to_status as detail
      from chaos.transitions
     where step_id is not null
       -- A task that is given back waits for the next worker.
       and not (from_status = 'waiting' and to_status = 'waiting' and step_id in (select id from chaos.tasks))
       and (case coalesce(from_status, 'new')
              when 'new' then to_status not in ('waiting_inputs', 'queued', 'running', 'skipped', 'cancelled')
              when 'waiting_inputs' then to_status not in ('waiting_inputs', 'queued', 'running', 'skipped', 'cancelled')
              when 'queued' then to_status not in ('queued', 'running', 'skipped', 'failed', 'cancelled')
              when 'running' then to_status = 'waiting_inputs'
              when 'waiting' then to_status not in ('queued', 'running', 'completed', 'failed', 'retrying', 'cancelled')
              when 'retrying' then to_status not in ('queued', 'running', 'failed', 'cancelled')
              else false end)`,
  'a final scope was changed': `
    select execution_id, path || ' in run ' || run || ': ' || from_status || ' to ' || to_status as detail
      from chaos.scope_transitions where from_status in ('completed', 'failed', 'cancelled')`,
  'a completed scope was opened again': `
    select t.execution_id, t.path || ' in run ' || t.run as detail
      from chaos.scope_transitions t join chaos.scope_transitions c using (execution_id, holder, path)
     where t.from_status is null and c.to_status = 'completed' and c.run < t.run`,
  'a step moved after its execution had ended': `
    select t.execution_id, 'step ' || t.step_id || ': ' || coalesce(t.from_status, 'new') || ' to ' || t.to_status as detail
      from chaos.transitions e join chaos.transitions t using (execution_id)
     where e.step_id is null and e.to_status in ${FINAL_EXECUTION}
       and t.step_id is not null and t.position > e.position and t.transaction <> e.transaction`,
};

/** Made when all is written. */
export const TRANSITION_INDEXES = `
  create index on chaos.transitions (execution_id);
  create index on chaos.transitions (step_id);
  create index on chaos.scope_transitions (holder, path);
  create index on chaos.scope_transitions (execution_id);
  analyze`;
