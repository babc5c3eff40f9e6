/**
 * Checks of scopes, the steps that hold them, and the inbox between the two.
 */
import {
  EXAMINED,
  executionsWhere,
  FINAL_EXECUTION,
  FINAL_STEP,
  isCalm,
  NEEDED_KEY,
  needsOf,
  resolvesEdges,
  type SqlInvariant,
  UNDER_WAY,
  USUAL_GRACE_SECONDS,
  WITH_STEPS,
} from './invariant.ts';

/** The numbers `h` of the scopes that the steps `s` hold, by their primary key. */
const WITH_HELD = `
      cross join lateral (
        select run, open_count, completed_count from workflow_held_scopes x where x.step_execution_id = s.id offset 0) h`;

/** The scopes `c` of the steps `s`, by their primary key. */
const WITH_SCOPES = `
      cross join lateral (
        select step_execution_id, index, run, status, path, stop_requested_at, created_at, completed_at
          from workflow_scopes x where x.step_execution_id = s.id offset 0) c`;

/** The rows of the inbox for the steps `s`: their view has few. */
export const INBOX_OF_STEP = `
      select i.event from workflow_inbox i
       where i.workflow_execution_id = e.id
         and i.scope = coalesce(s.holder_id || substring(s.scope from '\\[\\d+\\]$'), '')
         and i.step_execution_id = s.id`;

/** Returns SQL for the time that a UUIDv7 holds. */
function timeOf(id: string): string {
  const hex = `substr(replace(${id}::text, '-', ''), 1, 12)`;
  return `to_timestamp((('x' || ${hex})::bit(48)::bigint) / 1000.0)`;
}

/** Returns SQL for the key of the view of scope `c` (core/view.ts). */
const VIEW = `(e.id || '/' || c.step_execution_id || '[' || c.index || ']')`;

const OPEN_BELOW: SqlInvariant = {
  name: 'open-scope-of-step-that-goes-on',
  meaning:
    'A scope is open only while the step that holds it waits, or while it has time to end before its execution is undone.',
  advice: 'Repair it. If it comes back, please report it with the rows.',
  repair: 'cancels the scope with everything below it',
  graceSeconds: USUAL_GRACE_SECONDS,
  from: ['scopes'],
  offenders: `
    select s.id, e.id as execution_id, format('%s, and its scope %s is open', s.status, min(c.path)) as detail
      from ${EXAMINED} ${WITH_STEPS} ${WITH_HELD} ${WITH_SCOPES}
     where s.status <> 'waiting' and c.status = 'running' and e.status <> 'compensating' and ${isCalm('s.updated_at')}
     group by s.id, e.id, s.status`,
};

const NOT_WOKEN: SqlInvariant = {
  name: 'holder-of-no-open-scope',
  meaning: 'A step that waits for its scopes has one that is open, or the end of one is on its way to it.',
  advice: 'Somebody wrote or deleted rows by hand. Retry or cancel the execution: the step waits for ever.',
  repair: null,
  graceSeconds: USUAL_GRACE_SECONDS,
  from: ['open', 'scopes'],
  offenders: `
    select s.id, e.id as execution_id, format('waits for %s open scopes, of which there is none', h.open_count) as detail
      from ${UNDER_WAY} ${WITH_STEPS} ${WITH_HELD}
     where s.status = 'waiting' and e.status <> 'paused' and ${isCalm('s.updated_at')}
       and not exists (select 1 from workflow_scopes c
                        where c.step_execution_id = s.id
                          and (c.status = 'running' or not (${isCalm('c.completed_at')})) offset 0)
       and not exists (${INBOX_OF_STEP} offset 0)`,
};

const NUMBERS: SqlInvariant = {
  name: 'scopes-contradict-numbers',
  meaning:
    'The numbers of a step’s scopes are those of their rows, as far as the step has heard of their ends.',
  advice: 'Somebody wrote rows by hand, or a bug of the engine did: please report it with the rows.',
  repair: null,
  graceSeconds: 0,
  from: ['open', 'scopes'],
  offenders: `
    select s.id, e.id as execution_id,
           format('counts %s open and %s completed scopes, its rows say %s and %s', h.open_count, h.completed_count,
                  c.open + i.ended, c.completed - i.completed) as detail
      from ${UNDER_WAY} ${WITH_STEPS} ${WITH_HELD}
     cross join lateral (select count(*) filter (where x.status = 'running') as open,
                                count(*) filter (where x.status = 'completed') as completed
                           from workflow_scopes x where x.step_execution_id = s.id) c
     cross join lateral (select count(*) as ended,
                                count(*) filter (where n.event #>> '{end,status}' = 'completed') as completed
                           from (${INBOX_OF_STEP}) n
                          where (n.event ->> 'run')::integer = h.run and s.status = 'waiting') i
     where h.open_count <> c.open + i.ended or h.completed_count <> c.completed - i.completed`,
};

/** Executions `e` that undo. */
const UNDOING = executionsWhere(`x.status = 'compensating'`);

const UNDO_NUMBERS: SqlInvariant = {
  name: 'undone-scopes-contradict-numbers',
  meaning:
    'As many scopes of a step are being undone as it counts, as far as it has heard; none once its execution is final.',
  advice: 'Somebody wrote rows by hand, or a bug of the engine did: please report it with the rows.',
  repair: null,
  graceSeconds: 0,
  from: ['scopes'],
  offenders: `
    select s.id, e.id as execution_id,
           format('counts %s scopes that are being undone, its rows say %s', h.undo_open, c.undoing + i.undone) as detail
      from ${EXAMINED} ${WITH_STEPS}
     cross join lateral (
       select undo_open from workflow_held_scopes x
        where x.step_execution_id = s.id and x.undo_open is not null offset 0) h
     cross join lateral (select count(*) as undoing from workflow_scopes x
                          where x.step_execution_id = s.id and x.status = 'compensating') c
     cross join lateral (select count(*) as undone from (${INBOX_OF_STEP}) n where n.event ? 'undone') i
     where case when e.status = 'compensating' then h.undo_open <> c.undoing + i.undone else c.undoing > 0 end`,
};

const UNDO_IDLE: SqlInvariant = {
  name: 'undone-scope-at-rest',
  meaning:
    'A scope that is being undone has a compensation or scopes under way, or a ticket that makes an engine look.',
  advice: 'Repair it. Find out who deletes jobs: nobody but the engine may.',
  repair: 'lets the engine decide what comes next',
  graceSeconds: USUAL_GRACE_SECONDS,
  from: ['open', 'scopes'],
  offenders: `
    select s.id, e.id as execution_id, ${VIEW} as view, format('its scope %s is being undone, and nobody does', c.path) as detail
      from ${UNDOING} ${WITH_STEPS}
     cross join lateral (
       select undo_open from workflow_held_scopes x where x.step_execution_id = s.id and x.undo_open > 0 offset 0) h
     cross join lateral (
       select step_execution_id, index, path from workflow_scopes x
        where x.step_execution_id = s.id and x.status = 'compensating' offset 0) c
     cross join lateral (
       select max(x.updated_at) as changed_at, count(*) filter (where x.status not in ${FINAL_STEP}) as left,
              coalesce(sum(y.undo_open), 0) as undoing
         from workflow_step_executions x left join workflow_held_scopes y on y.step_execution_id = x.id
        where x.workflow_execution_id = e.id and x.scope = c.path) i
     where ${isCalm('i.changed_at')} and i.left = 0 and i.undoing = 0 and ${isCalm('e.updated_at')}
       and not exists (select 1 from {{pgboss}}.job j
                        where j.name = 'WorkflowExecutionQueue' and j.data ->> 'kind' = 'inbox'
                          and j.data ->> 'execution_id' = e.id::text
                          and j.data ->> 'scope' = c.step_execution_id || '[' || c.index || ']')`,
};

/** Rows and tickets are joined by sorting. */
const NO_TICKET: SqlInvariant = {
  name: 'inbox-without-ticket',
  meaning: 'What waits in the inbox of a view has a ticket that makes an engine look.',
  advice: 'Repair it. Find out who deletes jobs: nobody but the engine may.',
  repair: 'writes a ticket',
  graceSeconds: USUAL_GRACE_SECONDS,
  from: ['inbox'],
  offenders: `
    select min(u.id::text) as id, min(u.execution_id::text)::uuid as execution_id, min(u.view) as view,
           min(u.detail) as detail
      from (select i.id, i.workflow_execution_id as execution_id,
                   i.workflow_execution_id || case i.scope when '' then '' else '/' || i.scope end as view,
                   format('for step %s', i.step_execution_id) as detail
              from workflow_inbox i where ${isCalm(timeOf('i.id'))}
            union all
            select null, null, (j.data ->> 'execution_id') || coalesce('/' || (j.data ->> 'scope'), ''), null
              from {{pgboss}}.job j where j.name = 'WorkflowExecutionQueue' and j.data ->> 'kind' = 'inbox') u
     group by u.view having bool_and(u.detail is not null)`,
};

const INBOX_OVER: SqlInvariant = {
  name: 'inbox-of-final-execution',
  meaning: 'Nothing waits for an execution that is final.',
  advice: 'Repair it. It does no harm.',
  repair: 'writes a ticket: whoever fetches it drops what waits',
  graceSeconds: 60,
  from: ['inbox'],
  offenders: `
    select i.id, i.workflow_execution_id as execution_id,
           i.workflow_execution_id || case i.scope when '' then '' else '/' || i.scope end as view,
           format('for step %s of an execution that is %s', i.step_execution_id, e.status) as detail
      from workflow_inbox i
     cross join lateral (
       select status, completed_at from workflow_executions x where x.id = i.workflow_execution_id offset 0) e
     where e.status in ${FINAL_EXECUTION} and ${isCalm('e.completed_at')} and ${isCalm(timeOf('i.id'))}`,
};

/** The steps of the template of the scope `c`, each as `t`: those beside one that has a row in it. */
const TEMPLATES_OF_SCOPE = `
      cross join lateral (
        select regexp_replace(y.key, '[^/]*$', '') as place
          from workflow_step_executions x join workflow_step_templates y on y.id = x.step_template_id
         where x.workflow_execution_id = e.id and x.scope = c.path limit 1) place
      cross join lateral (
        select id, key, workflow_template_id, definition from workflow_step_templates x
         where x.workflow_template_id = e.workflow_template_id
           and x.key like replace(replace(place.place, '\\', '\\\\'), '_', '\\_') || '%'
           and strpos(substr(x.key, length(place.place) + 1), '/') = 0 offset 0) t`;

const EMPTY: SqlInvariant = {
  name: 'scope-without-steps',
  meaning: 'A scope has rows of steps from its beginning.',
  advice: 'Somebody deleted the rows. Cancel the execution and start it again.',
  repair: null,
  graceSeconds: 0,
  from: ['open', 'scopes'],
  offenders: `
    select s.id, e.id as execution_id, format('its scope %s is %s and has no steps', c.path, c.status) as detail
      from ${UNDER_WAY} ${WITH_STEPS} ${WITH_HELD} ${WITH_SCOPES}
     where not exists (select 1 from workflow_step_executions x
                        where x.workflow_execution_id = e.id and x.scope = c.path offset 0)`,
};

const END: SqlInvariant = {
  name: 'scope-not-ended',
  meaning: 'A scope ends with its last step.',
  advice: 'Repair it. If it stays, a step failed and the scope does not say so: cancel the execution.',
  repair: 'lets the engine decide how it ends',
  graceSeconds: USUAL_GRACE_SECONDS,
  from: ['open', 'scopes'],
  offenders: `
    select s.id, e.id as execution_id, ${VIEW} as view, format('its scope %s is open, with every step final', c.path) as detail
      from ${UNDER_WAY} ${WITH_STEPS} ${WITH_HELD} ${WITH_SCOPES}
     cross join lateral (select count(*) as rows, count(*) filter (where x.status not in ${FINAL_STEP}) as left,
                                max(x.updated_at) as changed_at
                           from workflow_step_executions x where x.workflow_execution_id = e.id and x.scope = c.path) i
     where c.status = 'running' and i.rows > 0 and i.left = 0 and ${isCalm('i.changed_at')}
       and i.rows = (select count(*) from (select 1) one ${TEMPLATES_OF_SCOPE})`,
};

const STEP_ROW: SqlInvariant = {
  name: 'reached-step-of-scope-without-row',
  meaning:
    'A step of a scope has a row from when its first edge is resolved; a root from the beginning of the scope.',
  advice: 'Somebody deleted the row. Cancel the execution and start it again.',
  repair: null,
  graceSeconds: 0,
  from: ['open', 'scopes'],
  offenders: `
    select t.id, e.id as execution_id, format('step %s was reached in scope %s and has no row', t.key, c.path) as detail
      from ${UNDER_WAY} ${WITH_STEPS} ${WITH_HELD} ${WITH_SCOPES} ${TEMPLATES_OF_SCOPE}
     where c.status = 'running'
       and not exists (select 1 from workflow_step_executions x
                        where x.workflow_execution_id = e.id and x.scope = c.path and x.step_template_id = t.id offset 0)
       and (not exists (select 1 from ${needsOf('t')} offset 0)
            or exists (select 1 from ${needsOf('t')}
                        join workflow_step_templates u on u.workflow_template_id = t.workflow_template_id
                                                      and u.key = place.place || ${NEEDED_KEY}
                        join workflow_step_executions p on p.workflow_execution_id = e.id and p.scope = c.path
                                                       and p.step_template_id = u.id
                        where ${resolvesEdges('p')}))`,
};

export const SCOPE_INVARIANTS: readonly SqlInvariant[] = [
  OPEN_BELOW,
  NOT_WOKEN,
  NUMBERS,
  UNDO_NUMBERS,
  UNDO_IDLE,
  NO_TICKET,
  INBOX_OVER,
  EMPTY,
  END,
  STEP_ROW,
];
