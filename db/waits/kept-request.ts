/**
 * Statements on requests to hooks, which are kept as signals until their steps use them.
 */
import type { Db } from '../connection/client.ts';

export interface RequestFate {
  readonly isUsed: boolean;
  /** Why the step did not take it; null: it did, or has not decided. */
  readonly refusal: string | null;
}

/** Returns what has become of a request; null: it is not kept. Uses workflow_signals_once. */
export async function readRequestFate(
  db: Db,
  executionId: string,
  signalId: string,
): Promise<RequestFate | null> {
  const { rows } = await db.query({
    name: 'read_request_fate',
    text: `select step_execution_id is not null as used, refusal
             from workflow_signals where workflow_execution_id = $1 and signal_id = $2`,
    values: [executionId, signalId],
  });
  return rows.length === 0 ? null : { isUsed: rows[0].used, refusal: rows[0].refusal };
}

/** Takes a request back that was not used, or only one that was refused. Returns false when there is none. */
export async function takeBackRequest(
  db: Db,
  executionId: string,
  signalId: string,
  which: 'unused' | 'refused',
): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'take_back_request',
    text: `delete from workflow_signals
            where workflow_execution_id = $1 and signal_id = $2 and step_execution_id is null
              and ($3::boolean or refusal is not null)`,
    values: [executionId, signalId, which === 'unused'],
  });
  return rowCount === 1;
}
