/**
 * Runs a transaction again that could not be serialized: at READ COMMITTED that never happens, on a database whose
 * isolation is stricter it is how two writers are told apart.
 */
import { setTimeout as delay } from 'node:timers/promises';

const SERIALIZATION_FAILURE = '40001';
/** Some seconds in all: whoever fails for longer than that has a reason of his own. */
const MAX_FAILURES = 30;
const LONGEST_PAUSE_MS = 250;

/** Whether nothing of a transaction was done and the same may go through now. */
export function isSerializationFailure(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === SERIALIZATION_FAILURE;
}

/** @param work a whole transaction, or a statement of its own @throws what it throws, but for what can be run again */
export async function runAgain<T>(work: () => Promise<T>): Promise<T> {
  for (let failures = 0; ; failures += 1) {
    try {
      return await work();
    } catch (error) {
      if (!isSerializationFailure(error) || failures === MAX_FAILURES) throw error;
      await delay(Math.min(LONGEST_PAUSE_MS, 2 ** failures) * Math.random());
    }
  }
}
