/**
 * Retries a transaction that could not be serialized. At READ COMMITTED that never happens; under stricter isolation
 * it is how the database resolves a conflict between two writers.
 */
import { setTimeout as delay } from 'node:timers/promises';

const SERIALIZATION_FAILURE = '40001';
/** Some seconds in all: a longer failure is not a serialization conflict. */
const MAX_FAILURES = 30;
const LONGEST_PAUSE_MS = 250;

/** Returns whether a transaction changed nothing and a retry may succeed now. */
export function isSerializationFailure(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === SERIALIZATION_FAILURE;
}

/** @param work a whole transaction, or a single statement @throws errors of `work` that a retry does not help */
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
