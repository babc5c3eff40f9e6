/**
 * Reads the body for the `callback_url` of a final execution.
 */
import type { ExecutionStatus } from '../core/status.ts';
import type { Db } from './connection/client.ts';

export interface ExecutionCallback {
  readonly url: string;
  readonly id: string;
  readonly status: ExecutionStatus;
  readonly template: string;
  readonly version: number;
  /** JSON text. */
  readonly outputs: string;
  /** JSON text of `{ code, message, step }`, or of null. */
  readonly error: string;
  readonly tags: readonly string[];
  readonly completedAt: Date;
}

/** Returns the URL and whose callback it is; null: no callback. */
export async function readCallbackRoute(
  db: Db,
  executionId: string,
): Promise<{ url: string; workspace: string } | null> {
  const { rows } = await db.query(
    `select callback_url as url, coalesce(workspace_id::text, '') as workspace
       from workflow_executions where id = $1 and callback_url is not null`,
    [executionId],
  );
  return rows[0] ?? null;
}

/** Returns null when there is nothing to send: no such execution, no URL, or it is not final (any more). */
export async function readCallback(db: Db, executionId: string): Promise<ExecutionCallback | null> {
  const { rows } = await db.query(
    `select e.callback_url, e.status, t.name, t.version, coalesce(e.outputs::text, 'null') as outputs,
            coalesce(e.error::text, 'null') as error, e.tags, e.completed_at
       from workflow_executions e join workflow_templates t on t.id = e.workflow_template_id
      where e.id = $1 and e.callback_url is not null and e.completed_at is not null`,
    [executionId],
  );
  if (rows.length === 0) return null;
  const [row] = rows;
  return {
    url: row.callback_url,
    id: executionId,
    status: row.status,
    template: row.name,
    version: row.version,
    outputs: row.outputs,
    error: row.error,
    tags: row.tags,
    completedAt: row.completed_at,
  };
}
