/**
 * Runs a transaction again when what kept it from its commit passes by itself: the one rule for all transactions that
 * somebody waits for, but for those of the door, which have their own (door/locked-commit.ts).
 *
 * Invariant 1: a transaction whose outcome is unknown may have been committed, so `work` must come to the same when it
 * finds its own rows.
 * Invariant 2: an answer that another attempt would not change is thrown at once: so is a statement that took all its
 * time, and a disk without room.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type Pool, type Tx, withTransaction } from './client.ts';
import { isConnectionError } from './session.ts';

/** A caller may wait for so long; a process that was frozen for longer than that still gets its other attempts. */
const LONGEST_MS = 10_000;
const MIN_ATTEMPTS = 3;
const LONGEST_PAUSE_MS = 500;
/** Not serialized, deadlock, lock not to be had in time, unknown whether it was completed. */
const CONTENDED = new Set<unknown>(['40001', '40P01', '55P03', '40003']);

/** Whether the same transaction may well go through a moment later. */
export function isPassing(error: unknown): boolean {
  return isConnectionError(error) || CONTENDED.has((error as { code?: unknown } | null)?.code);
}

/**
 * Runs `work` in a transaction, and again while what fails it passes.
 * @param signal ends the attempts; the one under way is waited for
 * @throws what `work` and its commit throw, when another attempt would not help or has not helped for ten seconds
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
