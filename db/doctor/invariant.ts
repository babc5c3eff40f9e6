/**
 * Definition of the doctor's invariants, and building blocks of their SQL.
 *
 * Every query returns the rows that break it: `id`, `execution_id` (null where there is none) and `detail`, the fault
 * of the row. Jobs have their `queue` as well. `{{pgboss}}` stands for the schema of pg-boss, `{{only}}` for the
 * requested executions `e`.
 *
 * Invariant 1: a query finds open executions by workflow_executions_open, and looks at final ones no further back
 * than requested. Neither scans a table of millions.
 * Invariant 2: queries lock nothing and write nothing.
 * Invariant 3: the cost grows with the rows examined, whatever the planner's statistics. So the plan is forced: the
 * text fixes the order of the tables, and each row of the next one is found by an index. `offset 0` keeps a subquery
 * from being merged into the outer query.
 */
export interface Invariant {
  /** Stable name: users and programs refer to it. */
  readonly name: string;
  readonly meaning: string;
  /** Advice when rows break it. */
  readonly advice: string;
  /** Effect of a repair; null: it is only reported. */
  readonly repair: string | null;
  /** How long a fault must have lasted, by the database's clock, unless the caller says otherwise. */
  readonly graceSeconds: number;
}

export interface SqlInvariant extends Invariant {
  /** The query reads nothing else before rows of each of these: where one has none, the invariant holds. */
  readonly from: readonly Source[];
  readonly offenders: string;
}

/** Rows that queries begin with. `open`: executions that are not final; `scopes`: numbers of holders. */
export type Source = 'open' | 'executions' | 'jobs' | 'scopes' | 'inbox';

/** Long enough for pending work to have corrected it. */
export const USUAL_GRACE_SECONDS = 10;

export const FINAL_STEP = `('completed', 'failed', 'skipped', 'cancelled')`;
export const FINAL_EXECUTION = `('completed', 'failed', 'cancelled', 'timed_out')`;
export const QUEUES = `('WorkflowExecutionQueue', 'StepExecutionQueue', 'MergeExecutionQueue')`;
export const STEP_QUEUES = `('StepExecutionQueue', 'MergeExecutionQueue')`;

/** Executions, read first. @param condition on `x` */
export function executionsWhere(condition: string): string {
  return `(
        select id, workflow_template_id, status, outputs, error, created_at, updated_at, start_after, started_at, resumed_at,
               completed_at, stop_requested_at
          from workflow_executions x
         where ${condition} and {{only}} offset 0) e`;
}

const IS_OPEN = `(x.status in ('pending', 'running', 'paused') or x.status = 'compensating')`;
/** SQL for each source: whether there are rows. */
export const SOURCES: Readonly<Record<Source, string>> = {
  open: `exists (select from workflow_executions x where x.status in ('pending', 'running', 'paused'))
           or exists (select from workflow_executions x where x.status = 'compensating')`,
  executions: 'exists (select from workflow_executions)',
  jobs: `exists (select from {{pgboss}}.job j where j.name in ${QUEUES})`,
  scopes: 'exists (select from workflow_held_scopes)',
  inbox: 'exists (select from workflow_inbox)',
};

/** Executions `e` that are not final. */
export const OPEN = executionsWhere(IS_OPEN);
/** Returns SQL: whether a step template is of the top level, and no compensation, which has a row only to undo something. */
export function isStep(template: string): string {
  return `${template}.key !~ '[/~]'`;
}

/** Executions `e` that have begun, and are running or paused. */
export const UNDER_WAY = executionsWhere(
  `x.status in ('running', 'paused') and (x.status = 'running' or x.started_at is not null)`,
);
/** Executions `e` that are not final, and the requested final ones. */
export const EXAMINED = executionsWhere(
  `(${IS_OPEN} or (x.removed_at is null and x.id >= (select since from asked)))`,
);

/** The steps `s` of the executions `e`, by workflow_step_executions_scope_step. */
export const WITH_STEPS = `
      cross join lateral (
        select id, holder_id, scope, step_template_id, status, lost_race, decided_elsewhere, required_inputs, received_inputs, attempt_count, retry_count, claimed_by,
               outputs, error, error_code, created_at, updated_at, resume_at, deadline_at, waiting_for, started_at,
               completed_at
          from workflow_step_executions x
         where x.workflow_execution_id = e.id offset 0) s`;
/** The templates `t` of the steps `s`, by their primary key. */
export const WITH_TEMPLATES = `
      cross join lateral (
        select workflow_template_id, key, definition from workflow_step_templates x
         where x.id = s.step_template_id offset 0) t`;

/** Returns SQL: whether the edges of a step are resolved. @param step alias of its row */
export function resolvesEdges(step: string): string {
  return `(${step}.status in ('completed', 'failed', 'skipped') or (${step}.status = 'cancelled' and ${step}.lost_race))`;
}

/** The producers `p` named by `needs` of the template `t`, in an execution and scope; one for each that has a row. */
export function producersOf(execution: string, scope: string): string {
  return `${needsOf('t')}
          cross join lateral (
            select id from workflow_step_templates x
             where x.workflow_template_id = t.workflow_template_id and x.key = regexp_replace(t.key, '[^/]*$', '') || ${NEEDED_KEY} offset 0) u
          cross join lateral (
            select id, status, lost_race from workflow_step_executions x
             where x.workflow_execution_id = ${execution} and x.scope = ${scope} and x.step_template_id = u.id offset 0) p`;
}

/** SQL for the key of the view of a step `s`, for one that is in a scope (core/view.ts). */
export const VIEW_OF_STEP = `case when s.holder_id is not null
             then e.id || '/' || s.holder_id || substring(s.scope from '\\[\\d+\\]$') end`;

/** Returns SQL: whether nothing has changed within the grace. @param instant time of the last change */
export function isCalm(instant: string): string {
  return `${instant} <= now() - (select grace from asked)`;
}

/** Returns SQL for the entries of a step template's `needs`, each as `n`; a single entry counts as a list of one. */
export function needsOf(template: string): string {
  const needs = `${template}.definition -> 'needs'`;
  return `jsonb_array_elements(case jsonb_typeof(${needs}) when 'array' then ${needs}
            when 'string' then jsonb_build_array(${needs}) when 'object' then jsonb_build_array(${needs})
            else '[]' end) n`;
}

/** The key named by an entry of `needs`. */
export const NEEDED_KEY = `coalesce(n ->> 'step', n #>> '{}')`;

/** Returns SQL for an id in a job's data; null where it is not an id. */
export function idIn(field: string): string {
  const text = `j.data ->> '${field}'`;
  return `(case when ${text} ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then (${text})::uuid end)`;
}

/** Returns SQL for the id of an execution's own timer (door/unit.ts). @param mark d for its deadline, 5 for its stop */
export function timerIdOf(execution: string, mark: 'd' | '5' | 'c'): string {
  return `(left(${execution}::text, 14) || '8${mark}' || substr(${execution}::text, 17))::uuid`;
}
