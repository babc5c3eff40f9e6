/**
 * Checks that rows are consistent. These faults are only reported: a repair would be a guess.
 */
import {
  EXAMINED,
  FINAL_EXECUTION,
  FINAL_STEP,
  isStep,
  producersOf,
  resolvesEdges,
  type SqlInvariant,
  WITH_STEPS,
  WITH_TEMPLATES,
} from './invariant.ts';

const BY_HAND = 'Somebody wrote rows by hand, or a bug of the engine did: please report it with the rows.';

function invariant(name: string, meaning: string, offenders: string, advice = BY_HAND): SqlInvariant {
  return { name, meaning, advice, repair: null, graceSeconds: 0, from: ['executions'], offenders };
}

/** The tracked inputs `i` of the steps `s`, by the unique constraint. */
const WITH_INPUTS = `
      cross join lateral (
        select id, from_step_execution_id from workflow_input_tracker x where x.step_execution_id = s.id offset 0) i`;
const TRACKED = `(select count(distinct k.from_step_execution_id) as inputs
                   from workflow_input_tracker k where k.step_execution_id = s.id) tracked`;

const ENDS: readonly SqlInvariant[] = [
  invariant(
    'final-execution-with-open-step',
    'In a final execution every step is final.',
    `select s.id, e.id as execution_id, format('%s, in an execution that is %s', s.status, e.status) as detail
       from ${EXAMINED} ${WITH_STEPS}
      where e.status in ${FINAL_EXECUTION} and s.status not in ${FINAL_STEP}`,
  ),
  invariant(
    'final-execution-without-row',
    'A final execution has a row for every step.',
    `select t.id, e.id as execution_id, format('step %s has no row', t.key) as detail
       from ${EXAMINED}
      cross join lateral (
        select id, key from workflow_step_templates x
         where x.workflow_template_id = e.workflow_template_id and ${isStep('x')} offset 0) t
      where e.status in ${FINAL_EXECUTION}
        and not exists (select 1 from workflow_step_executions s
                         where s.workflow_execution_id = e.id and s.scope = '' and s.step_template_id = t.id offset 0)`,
  ),
  invariant(
    'error-contradicts-status',
    'An execution that failed has an error, one that completed has none.',
    `select e.id, e.id as execution_id,
            format('%s, with%s an error', e.status, case when e.error is null then 'out' end) as detail
       from ${EXAMINED}
      where ((e.status = 'completed' and e.error is not null) or (e.status = 'failed' and e.error is null))`,
  ),
  invariant(
    'failed-step-without-error',
    'A step that failed says why.',
    `select s.id, e.id as execution_id, 'failed, without an error' as detail
       from ${EXAMINED} ${WITH_STEPS}
      where s.status = 'failed' and (s.error is null or s.error_code is null)`,
  ),
  invariant(
    'outputs-without-completion',
    'Only what completed has outputs.',
    `select s.id, e.id as execution_id, format('a step that is %s, with outputs', s.status) as detail
       from ${EXAMINED} ${WITH_STEPS}
      where s.outputs is not null and s.status <> 'completed'
     union all
     select e.id, e.id, format('an execution that is %s, with outputs', e.status)
       from ${EXAMINED}
      where e.outputs is not null and e.status <> 'completed'`,
  ),
  invariant(
    'end-contradicts-status',
    'What is final has a time of its end, and nothing else has.',
    `select s.id, e.id as execution_id,
            format('a step that is %s, ended %s', s.status, coalesce(s.completed_at::text, 'never')) as detail
       from ${EXAMINED} ${WITH_STEPS}
      where (s.completed_at is not null) <> (s.status in ${FINAL_STEP})
     union all
     select e.id, e.id, format('an execution that is %s, ended %s', e.status, coalesce(e.completed_at::text, 'never'))
       from ${EXAMINED}
      where (e.completed_at is not null) <> (e.status in ${FINAL_EXECUTION})`,
  ),
  invariant(
    'times-run-backwards',
    'What ends has begun before, and what begins was there before.',
    `select s.id, e.id as execution_id,
            format('created %s, started %s, ended %s', s.created_at, s.started_at, s.completed_at) as detail
       from ${EXAMINED} ${WITH_STEPS}
      where (s.started_at < s.created_at or s.completed_at < s.started_at)
     union all
     select e.id, e.id, format('created %s, started %s, ended %s', e.created_at, e.started_at, e.completed_at)
       from ${EXAMINED}
      where (e.started_at < e.created_at or e.completed_at < e.started_at)`,
    'A clock was set back, or somebody wrote the row by hand. Nothing is decided by these times.',
  ),
];

const EDGES: readonly SqlInvariant[] = [
  invariant(
    'inputs-contradict-edges',
    'A step has one tracked input for each of its edges that is resolved.',
    `select s.id, e.id as execution_id,
            format('%s edges are resolved, %s are tracked', resolved.edges, tracked.inputs) as detail
       from ${EXAMINED} ${WITH_STEPS} ${WITH_TEMPLATES}
      cross join lateral (
        select count(distinct p.id) as edges
          from ${producersOf('e.id', 's.scope')}
         where ${resolvesEdges('p')}) resolved
      cross join lateral ${TRACKED}
      where resolved.edges <> tracked.inputs`,
  ),
  invariant(
    'received-inputs-contradict-edges',
    'A step that was decided received no more than its tracked inputs, unless a retry has opened edges to it again.',
    `select s.id, e.id as execution_id,
            format('received %s, %s are tracked', cardinality(s.received_inputs), tracked.inputs) as detail
       from ${EXAMINED} ${WITH_STEPS}
      cross join lateral ${TRACKED}
      where s.status in ('completed', 'failed', 'skipped') and e.resumed_at is null
        and cardinality(s.received_inputs) > tracked.inputs`,
  ),
  invariant(
    'edge-tracked-twice',
    'An edge is resolved once.',
    `select s.id, e.id as execution_id, format('%s inputs from step %s', count(*), i.from_step_execution_id) as detail
       from ${EXAMINED} ${WITH_STEPS}
      ${WITH_INPUTS}
      group by s.id, e.id, i.from_step_execution_id having count(*) > 1`,
    'The unique constraint of workflow_input_tracker is gone: put it back when the rows are mended.',
  ),
  invariant(
    'input-of-another-execution',
    'An input comes from a step of the same execution.',
    `select i.id, e.id as execution_id, format('an input from a step of execution %s', p.workflow_execution_id) as detail
       from ${EXAMINED} ${WITH_STEPS}
      ${WITH_INPUTS}
      cross join lateral (
        select workflow_execution_id from workflow_step_executions x where x.id = i.from_step_execution_id offset 0) p
      where p.workflow_execution_id <> e.id`,
  ),
];

const TEMPLATES: readonly SqlInvariant[] = [
  invariant(
    'step-twice-in-scope',
    'A step starts at most once in a scope: it has one row there.',
    `select min(s.id::text) as id, e.id as execution_id, format('%s rows of one step', count(*)) as detail
       from ${EXAMINED} ${WITH_STEPS}
      group by e.id, s.scope, s.step_template_id having count(*) > 1`,
    'The unique index workflow_step_executions_scope_step is gone: put it back when the rows are mended.',
  ),
  invariant(
    'step-of-another-template',
    'A step belongs to the template of its execution.',
    `select s.id, e.id as execution_id, format('a step of template %s', t.workflow_template_id) as detail
       from ${EXAMINED} ${WITH_STEPS} ${WITH_TEMPLATES}
      where t.workflow_template_id is distinct from e.workflow_template_id`,
  ),
  invariant(
    'retries-over-limit',
    'A step is retried no more often than its definition allows.',
    `select s.id, e.id as execution_id, format('%s retries', s.retry_count) as detail
       from ${EXAMINED} ${WITH_STEPS} ${WITH_TEMPLATES}
      where s.retry_count > 0 and not s.decided_elsewhere
        and s.retry_count > coalesce((t.definition #>> '{retry,limit}')::integer, 0)`,
  ),
];

const COUNTS: readonly SqlInvariant[] = [
  invariant(
    'negative-count',
    'No count is negative.',
    `select s.id, e.id as execution_id,
            format('%s attempts, %s retries, %s required inputs', s.attempt_count, s.retry_count, s.required_inputs) as detail
       from ${EXAMINED} ${WITH_STEPS}
      where least(s.attempt_count, s.retry_count, s.required_inputs) < 0`,
  ),
];

export const ROW_INVARIANTS: readonly SqlInvariant[] = [...ENDS, ...EDGES, ...TEMPLATES, ...COUNTS];
