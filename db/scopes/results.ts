/**
 * Reads what the scopes of a holder have come to.
 */
import type { Json } from '../../core/json/json.ts';
import type { ScopeStatus } from '../../core/scopes/scope-status.ts';
import type { Db } from '../connection/client.ts';

export interface ScopeResult {
  readonly index: number;
  readonly status: ScopeStatus;
  /** JSON text; null: none. */
  readonly outputs: string | null;
  readonly error: { readonly code: string; readonly message: string; readonly details?: Json } | null;
}

/** Returns results in the order of their index, from an index on. */
export async function readResults(
  db: Db,
  holderId: string,
  from: number,
  most: number,
): Promise<ScopeResult[]> {
  const { rows } = await db.query({
    name: 'read_scope_results',
    text: `select index, status, outputs::text as outputs, error from workflow_scopes
            where step_execution_id = $1 and index >= $2 order by index limit $3`,
    values: [holderId, from, most],
  });
  return rows;
}

/** Returns the indexes of the scopes that have failed or were cancelled. */
export async function readUnfinished(db: Db, holderId: string): Promise<number[]> {
  const { rows } = await db.query({
    name: 'read_unfinished_scopes',
    text: `select index from workflow_scopes
            where step_execution_id = $1 and status in ('failed', 'cancelled') order by index`,
    values: [holderId],
  });
  return rows.map(({ index }) => index);
}
