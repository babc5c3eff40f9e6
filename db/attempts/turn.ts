/**
 * The turns of a conversation that a handler keeps with its attempt.
 */
import type { Claim } from '../../core/event.ts';
import type { Tx } from '../connection/client.ts';

/** A turn may be written again when the answer to its commit was lost. */
const INSERT = `
  insert into workflow_step_turns (step_execution_id, attempt, turn, record)
  select id, attempt_count, $5::integer, $6::jsonb
    from workflow_step_executions
   where id = $1 and status = 'running' and attempt_count = $2 and claimed_by = $3
     and sequence = coalesce($4::bigint, sequence)
  on conflict (step_execution_id, attempt, turn) do update set record = excluded.record`;

/**
 * @param record JSON text, as it is stored
 * @returns false when the claim does not hold the step any more
 */
export async function insertTurn(
  tx: Tx,
  stepId: string,
  claim: Claim,
  turn: number,
  record: string,
): Promise<boolean> {
  const { attempt, owner, sequence } = claim;
  const { rowCount } = await tx.query(INSERT, [stepId, attempt, owner, sequence ?? null, turn, record]);
  return rowCount === 1;
}
