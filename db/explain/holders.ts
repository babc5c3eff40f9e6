/**
 * Reads what keeps queued steps from beginning: the steps that hold a limit, those that are in line for one, and those that run.
 */
import type { HolderFacts } from '../../core/explain/reason.ts';
import { stepPath } from '../../core/scopes/step-path.ts';
import { plainArray } from '../array-literal.ts';
import type { Db } from '../connection/client.ts';
import { OPEN_VIEWS } from '../scopes/open-views.ts';
import { GRANT_COUNTS } from '../step-limit.ts';

/** Holders of one limit that are named. */
const MAX_HOLDERS = 3;
/** Open views that are searched for steps that run, the oldest of each kind first. */
const MAX_VIEWS = 1_000;

const HOLDERS = `
  select u.id as limit_id, h.execution_id, h.scope, h.key, h.since
    from unnest($1::uuid[]) as u(id)
   cross join lateral (
     select s.workflow_execution_id as execution_id, s.scope, t.key, s.updated_at as since
       from workflow_step_grants g
       join workflow_step_executions s on s.id = g.step_execution_id
       join workflow_step_templates t on t.id = s.step_template_id
      where g.limit_id = u.id and ${GRANT_COUNTS}
      order by g.granted_at limit ${MAX_HOLDERS}) h`;

/** Returns some of the steps that hold each limit. Uses workflow_step_grants_limit. */
export async function readLimitHolders(
  db: Db,
  limitIds: readonly string[],
): Promise<Map<string, HolderFacts[]>> {
  if (limitIds.length === 0) return new Map();
  const { rows } = await db.query(HOLDERS, [plainArray(limitIds)]);
  const held = new Map<string, HolderFacts[]>();
  for (const row of rows) held.set(row.limit_id, [...(held.get(row.limit_id) ?? []), toHolder(row)]);
  return held;
}

/**
 * Returns some of the steps that run. The search ends after so many open views.
 * @param workspaceId of a caller that sees one workspace alone; undefined: all
 */
export async function readRunningSteps(
  db: Db,
  workspaceId: string | null | undefined,
): Promise<HolderFacts[]> {
  const { rows } = await db.query(
    `select v.id as execution_id, s.scope, t.key, s.since
       from (select o.id, o.path from ${OPEN_VIEWS} o
              where $1 or (select e.workspace_id is not distinct from $2::uuid from workflow_executions e where e.id = o.id)
              limit ${MAX_VIEWS}) v
      cross join lateral (
        select scope, step_template_id, updated_at as since from workflow_step_executions
         where workflow_execution_id = v.id and scope = v.path and status = 'running' limit ${MAX_HOLDERS}) s
       join workflow_step_templates t on t.id = s.step_template_id
      limit ${MAX_HOLDERS}`,
    [workspaceId === undefined, workspaceId ?? null],
  );
  return rows.map(toHolder);
}

/** A queued step in line for a limit. */
export interface LinedUp {
  readonly id: string;
  readonly executionId: string;
  readonly templateId: string;
  readonly stepTemplateId: string;
}

/** Jobs that are looked at for steps in line. */
const MAX_JOBS = 2_000;
const MAX_LINE = 500;

const LINE = (jobTables: string) => `
  with jobs as materialized (
    select j.id from ${jobTables} j
     where j.name in ('StepExecutionQueue', 'MergeExecutionQueue') and j.state < 'active' and not j.blocked
     limit ${MAX_JOBS + 1})
  select s.id, s.workflow_execution_id, t.workflow_template_id, s.step_template_id,
         (select count(*) from jobs)::integer as jobs
    from jobs j
   cross join lateral (
     select x.id, x.workflow_execution_id, x.step_template_id, x.updated_at from workflow_step_executions x
      where x.id = j.id and x.status = 'queued' offset 0) s
   cross join lateral (
     select x.workflow_template_id from workflow_step_templates x
      where x.id = s.step_template_id and (x.definition ? 'concurrency' or x.definition ? 'rateLimit') offset 0) t
   cross join lateral (
     select from workflow_executions x
      where x.id = s.workflow_execution_id and x.workspace_id is not distinct from $1::uuid offset 0) e
   order by s.updated_at, s.id limit ${MAX_LINE + 1}`;

/**
 * Returns the queued steps of a workspace that have limits, in the order in which they became ready; null: there are too many
 * to tell.
 */
export async function readLine(
  db: Db,
  jobTables: string,
  workspaceId: string | null,
): Promise<LinedUp[] | null> {
  const { rows } = await db.query(LINE(jobTables), [workspaceId]);
  if (rows.length > MAX_LINE || (rows[0]?.jobs ?? 0) > MAX_JOBS) return null;
  return rows.map((row) => ({
    id: row.id,
    executionId: row.workflow_execution_id,
    templateId: row.workflow_template_id,
    stepTemplateId: row.step_template_id,
  }));
}

// biome-ignore lint/suspicious/noExplicitAny: a row from the driver
function toHolder({ execution_id: executionId, scope, key, since }: any): HolderFacts {
  // The key of a step template is its path in the definition.
  return {
    executionId,
    path: stepPath(scope, key.slice(key.lastIndexOf('/') + 1)),
    sinceMs: since.getTime(),
  };
}
