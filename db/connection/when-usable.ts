/**
 * Waits for a database that is not there yet: engines and their database are often started together.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { isUnavailable } from './session.ts';

/** A database that is started or comes back takes less; one whose name is wrong is to be told of. */
const LONGEST_WAIT_MS = 60_000;
const LONGEST_PAUSE_MS = 1_000;
const TOLD_EVERY_MS = 10_000;

/**
 * Does something that can be done again, and does it again while the database is away.
 * @param onWait hears of it at once, and every 10 s
 * @throws what `work` throws: at once when waiting does not help, or when the database has been away for a minute
 */
export async function whenUsable<T>(work: () => Promise<T>, onWait: (error: unknown) => void): Promise<T> {
  const begunAt = performance.now();
  let toldAt = Number.NEGATIVE_INFINITY;
  for (let failures = 0; ; failures += 1) {
    try {
      return await work();
    } catch (error) {
      const now = performance.now();
      if (!isUnavailable(error) || now - begunAt > LONGEST_WAIT_MS) throw error;
      if (now - toldAt >= TOLD_EVERY_MS) {
        toldAt = now;
        onWait(error);
      }
      await delay(Math.min(LONGEST_PAUSE_MS, 2 ** failures * 50));
    }
  }
}
