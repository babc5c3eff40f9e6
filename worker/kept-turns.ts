/**
 * Keeps the turns of a handler's conversation with its attempt, checked and masked like outputs.
 *
 * Invariant: a turn is stored only while its attempt holds the step.
 */
import type { JsonObject } from '../core/json/json.ts';
import { insertTurn } from '../db/attempts/turn.ts';
import type { Pool } from '../db/connection/client.ts';
import { transact } from '../db/connection/transact.ts';
import { NotStorable, type OutputStore } from '../payload/output-store.ts';
import { StepFailure } from '../steps/step-type.ts';
import type { Attempt } from './attempt.ts';

/** @throws StepFailure */
export async function keepTurn(
  pool: Pool,
  store: OutputStore,
  attempt: Attempt,
  number: number,
  turn: JsonObject,
): Promise<void> {
  const record = await storedText(store, turn);
  const { stepId, claim } = attempt;
  const isKept = await attempt.untimed(transact(pool, (tx) => insertTurn(tx, stepId, claim, number, record)));
  if (!isKept) throw attempt.abortReason ?? new StepFailure('cancelled', 'The attempt is over.');
}

async function storedText(store: OutputStore, turn: JsonObject): Promise<string> {
  try {
    return (await store.payload(turn)).json;
  } catch (error) {
    if (!(error instanceof NotStorable)) throw error;
    throw new StepFailure(error.code, error.message, { cause: error });
  }
}
