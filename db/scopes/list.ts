/**
 * Reads the scopes of a holder, for people.
 */
import type { ScopeStatus } from '../../core/scopes/scope-status.ts';
import type { StepStatus } from '../../core/status.ts';
import { textArray } from '../array-literal.ts';
import type { Db } from '../connection/client.ts';
import { STEP_COLUMNS, type StepDetail, toStepDetail } from '../execution-queries.ts';

export interface ListedScope {
  readonly path: string;
  readonly index: number;
  readonly status: ScopeStatus;
  readonly error: { readonly code: string; readonly message: string; readonly step: string | null } | null;
  readonly createdAt: Date;
  readonly completedAt: Date | null;
}

export interface ScopeFilter {
  readonly status: ScopeStatus | null;
  /** Index of the last scope of the page before; null: the first page. */
  readonly after: number | null;
  readonly limit: number;
}

/** Returns the opened scopes of a holder by their index. Uses the primary key. */
export async function listScopes(
  db: Db,
  holderId: string,
  { status, after, limit }: ScopeFilter,
): Promise<ListedScope[]> {
  const { rows } = await db.query({
    name: 'list_scopes',
    text: `select path, index, status, error, created_at, completed_at
             from workflow_scopes
            where step_execution_id = $1 and index > $2 and (status = $3 or $3 is null)
            order by index limit $4`,
    values: [holderId, after ?? -1, status, limit],
  });
  return rows.map((row) => ({
    path: row.path,
    index: row.index,
    status: row.status,
    error: row.error,
    createdAt: row.created_at,
    completedAt: row.completed_at,
  }));
}

/** A step that holds scopes, or may. */
export interface FoundStep {
  readonly id: string;
  readonly status: StepStatus;
  readonly errorCode: string | null;
  readonly error: string | null;
}

/** Returns a step of an execution; null: it has no row. @param scope path of its scope; '' is the top level */
export async function findStep(
  db: Db,
  executionId: string,
  scope: string,
  stepTemplateId: string,
): Promise<FoundStep | null> {
  const { rows } = await db.query({
    name: 'find_step',
    text: `select id, status, error_code, error from workflow_step_executions
            where workflow_execution_id = $1 and scope = $2 and step_template_id = $3`,
    values: [executionId, scope, stepTemplateId],
  });
  const [row] = rows;
  return row === undefined
    ? null
    : { id: row.id, status: row.status, errorCode: row.error_code, error: row.error };
}

/** Returns of each scope the step that has been parked longest, by the path of its scope. Uses workflow_step_executions_scope_step. */
export async function readParkedSteps(
  db: Db,
  executionId: string,
  paths: readonly string[],
): Promise<ReadonlyMap<string, StepDetail>> {
  if (paths.length === 0) return new Map();
  const { rows } = await db.query({
    name: 'read_parked_steps',
    text: `select ${STEP_COLUMNS('s')}, null as outputs
             from unnest($2::text[]) as u(path)
            cross join lateral (
              select x.id from workflow_step_executions x
               where x.workflow_execution_id = $1 and x.scope = u.path and x.status in ('waiting', 'retrying')
               order by x.updated_at, x.id limit 1) f
             join workflow_step_executions s on s.id = f.id`,
    values: [executionId, textArray(paths)],
  });
  return new Map(rows.map(toStepDetail).map((step) => [step.scope, step]));
}
