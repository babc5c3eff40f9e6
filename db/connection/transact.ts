/**
 * Retries a transaction after a transient failure. The one rule for all transactions with a waiting caller, except
 * those of the door, which have their own (door/locked-commit.ts).
 *
 * Invariant 1: a transaction whose outcome is unknown may have been committed, so `work` must be idempotent: it must
 * have the same result when it finds its own rows.
 * Invariant 2: an error that another attempt would not change is thrown at once. That includes a statement that used
 * up its timeout, and a full disk.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type Pool, type Tx, withTransaction } from './client.ts';
import { isConnectionError } from './session.ts';

/** Longest time for which a caller waits. A process that was frozen for longer still gets its other attempts. */
const LONGEST_MS = 10_000;
const MIN_ATTEMPTS = 3;
const LONGEST_PAUSE_MS = 500;
/** Not serialized, deadlock, lock timeout, unknown whether it was completed. */
const CONTENDED = new Set<unknown>(['40001', '40P01', '55P03', '40003']);

/** Returns whether a failure is transient: a retry may soon succeed. */
export function isPassing(error: unknown): boolean {
  return isConnectionError(error) || CONTENDED.has((error as { code?: unknown } | null)?.code);
}

/**
 * Runs `work` in a transaction, and retries it while failures are transient.
 * @param signal stops further attempts; the current one is awaited
 * @throws errors of `work` and its commit, when a retry would not help or has not helped for ten seconds
 */
export async function transact<T>(
  pool: Pool,
  work: (tx: Tx) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const begunAt = performance.now();
  for (let attempts = 1; ; attempts += 1) {
    try {
      return await withTransaction(pool, work);
    } catch (error) {
      const isOver = attempts >= MIN_ATTEMPTS && performance.now() - begunAt > LONGEST_MS;
      if (isOver || pool.ending || signal?.aborted || !isPassing(error)) throw error;
      await delay(Math.min(LONGEST_PAUSE_MS, 2 ** attempts * 5) * (0.5 + Math.random() / 2));
    }
  }
}
