/**
 * Waits for a database that is not there yet: engines and their database are often started together.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { withConnectionAdvice } from './connection-limit.ts';
import { isUnavailable } from './session.ts';

/** A starting or recovering database takes less time; a wrong name must be reported. */
const LONGEST_WAIT_MS = 60_000;
const LONGEST_PAUSE_MS = 1_000;
const TOLD_EVERY_MS = 10_000;

/**
 * Runs idempotent work, and retries it while the database is unavailable.
 * @param onWait called at once, and every 10 s
 * @throws errors of `work`: at once when waiting does not help, or after a minute
 */
export async function whenUsable<T>(work: () => Promise<T>, onWait: (error: unknown) => void): Promise<T> {
  const begunAt = performance.now();
  let toldAt = Number.NEGATIVE_INFINITY;
  for (let failures = 0; ; failures += 1) {
    try {
      return await work();
    } catch (error) {
      const now = performance.now();
      if (!isUnavailable(error) || now - begunAt > LONGEST_WAIT_MS) throw withConnectionAdvice(error);
      if (now - toldAt >= TOLD_EVERY_MS) {
        toldAt = now;
        onWait(error);
      }
      await delay(Math.min(LONGEST_PAUSE_MS, 2 ** failures * 50));
    }
  }
}
