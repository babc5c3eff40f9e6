/**
 * What an invariant of the doctor is, and the words its SQL is made of.
 *
 * Every query answers the rows that break it: `id`, `execution_id` (null where there is none) and `detail`, what is
 * wrong with the row. Jobs come with their `queue` as well. `{{pgboss}}` stands for the schema of pg-boss, `{{only}}`
 * for the executions `e` that are asked for.
 *
 * Invariant 1: a query over executions that are not final finds them by workflow_executions_open, and one that looks
 * at final ones as well goes no further back than it is asked to. Neither walks a table of millions.
 * Invariant 2: nothing is locked and nothing is written.
 * Invariant 3: the cost grows with the rows that are looked at, whatever the planner believes of the tables. So it has
 * no choice: the text says in which order tables are read, and each row of the next one is found by an index. `offset 0`
 * keeps a subquery from being mixed with what surrounds it.
 */
export interface Invariant {
  /** Stable: people and programs refer to it. */
  readonly name: string;
  readonly meaning: string;
  /** What to do when rows break it. */
  readonly advice: string;
  /** What a repair does; null: it is only reported. */
  readonly repair: string | null;
  /** How long something must have been so, by the database's clock, unless the caller says. */
  readonly graceSeconds: number;
}

export interface SqlInvariant extends Invariant {
  readonly offenders: string;
}

/** Long enough for whoever is about to put it right to have done so. */
export const USUAL_GRACE_SECONDS = 10;

export const FINAL_STEP = `('completed', 'failed', 'skipped', 'cancelled')`;
export const FINAL_EXECUTION = `('completed', 'failed', 'cancelled', 'timed_out')`;
export const QUEUES = `('WorkflowExecutionQueue', 'StepExecutionQueue', 'MergeExecutionQueue')`;
export const STEP_QUEUES = `('StepExecutionQueue', 'MergeExecutionQueue')`;

/** Executions, read first. @param condition on `x` */
function executionsWhere(condition: string): string {
  return `(
        select id, workflow_template_id, status, outputs, error, created_at, updated_at, start_after, started_at,
               completed_at, stop_requested_at
          from workflow_executions x
         where ${condition} and {{only}} offset 0) e`;
}

const IS_OPEN = `x.status in ('pending', 'running', 'paused')`;
/** Executions `e` that are not final. */
export const OPEN = executionsWhere(IS_OPEN);
/** Executions `e` that are under way. */
export const UNDER_WAY = executionsWhere(`x.status in ('running', 'paused')`);
/** Executions `e` that are not final, and the final ones that were asked for. */
export const EXAMINED = executionsWhere(
  `(${IS_OPEN} or (x.removed_at is null and x.id >= (select since from asked)))`,
);

/** The steps `s` of the executions `e`, by workflow_step_executions_scope_step. */
export const WITH_STEPS = `
      cross join lateral (
        select id, scope, step_template_id, status, required_inputs, received_inputs, attempt_count, retry_count, claimed_by,
               outputs, error, error_code, created_at, updated_at, resume_at, deadline_at, waiting_for, started_at,
               completed_at
          from workflow_step_executions x
         where x.workflow_execution_id = e.id offset 0) s`;
/** The templates `t` of the steps `s`, by their primary key. */
export const WITH_TEMPLATES = `
      cross join lateral (
        select workflow_template_id, definition from workflow_step_templates x
         where x.id = s.step_template_id offset 0) t`;

/** The producers `p` that `needs` of the template `t` names in an execution and scope; one for each that has a row. */
export function producersOf(execution: string, scope: string): string {
  return `${needsOf('t')}
          cross join lateral (
            select id from workflow_step_templates x
             where x.workflow_template_id = t.workflow_template_id and x.key = ${NEEDED_KEY} offset 0) u
          cross join lateral (
            select id, status from workflow_step_executions x
             where x.workflow_execution_id = ${execution} and x.scope = ${scope} and x.step_template_id = u.id offset 0) p`;
}

/** Whether nothing has changed there for the grace. @param instant when something last did */
export function isCalm(instant: string): string {
  return `${instant} <= now() - (select grace from asked)`;
}

/** The entries of a step template's `needs`: one alone is a list of one. Each is `n`. */
export function needsOf(template: string): string {
  const needs = `${template}.definition -> 'needs'`;
  return `jsonb_array_elements(case jsonb_typeof(${needs}) when 'array' then ${needs}
            when 'string' then jsonb_build_array(${needs}) when 'object' then jsonb_build_array(${needs})
            else '[]' end) n`;
}

/** The key that an entry of `needs` names. */
export const NEEDED_KEY = `coalesce(n ->> 'step', n #>> '{}')`;

/** An id in a job's data; null where it is none. */
export function idIn(field: string): string {
  const text = `j.data ->> '${field}'`;
  return `(case when ${text} ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then (${text})::uuid end)`;
}

/** The id of an execution's own timer (door/unit.ts). @param mark d for its deadline, 5 for its stop */
export function timerIdOf(execution: string, mark: 'd' | '5'): string {
  return `(left(${execution}::text, 14) || '8${mark}' || substr(${execution}::text, 17))::uuid`;
}
