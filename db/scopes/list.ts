/**
 * Reads the scopes of a holder, for people.
 */
import type { ScopeStatus } from '../../core/scopes/scope-status.ts';
import type { Db } from '../connection/client.ts';

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

/** Returns the id of a step in an execution; null: it has no row. @param scope path of its scope; '' is the top level */
export async function findStepId(
  db: Db,
  executionId: string,
  scope: string,
  stepTemplateId: string,
): Promise<string | null> {
  const { rows } = await db.query({
    name: 'find_step_id',
    text: `select id from workflow_step_executions
            where workflow_execution_id = $1 and scope = $2 and step_template_id = $3`,
    values: [executionId, scope, stepTemplateId],
  });
  return rows[0]?.id ?? null;
}
