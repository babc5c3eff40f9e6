/**
 * What an invariant of the doctor is, and the words its SQL is made of.
 *
 * Every query answers the rows that break it: `id`, `execution_id` (null where there is none) and `detail`, what is
 * wrong with the row. Jobs come with their `queue` as well. `{{pgboss}}` stands for the schema of pg-boss.
 *
 * Invariant 1: a query over executions that are not final finds them by workflow_executions_open, and one that looks
 * at final ones as well goes no further back than it is asked to. Neither walks a table of millions.
 * Invariant 2: nothing is locked and nothing is written.
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

/** Executions `e` that are not final. */
export const IS_OPEN = `e.status in ('pending', 'running', 'paused')`;
/** Those, and the final ones that were asked for. */
export const IS_EXAMINED = `(${IS_OPEN} or (e.removed_at is null and e.id >= (select since from asked)))`;

/** Executions `e` with their steps `s`. */
export const STEPS =
  'workflow_executions e join workflow_step_executions s on s.workflow_execution_id = e.id';
/** And with the templates `t` of the steps. */
export const STEPS_WITH_TEMPLATES = `${STEPS} join workflow_step_templates t on t.id = s.step_template_id`;

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
