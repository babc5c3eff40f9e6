/**
 * Long work on the event loop, a slice at a time: other work runs between two slices.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';

/** The longest that such work keeps the event loop at a time, apart from its last piece. */
export const SLICE_MS = 8;

/** Returns the result of work that may be paused at each yield; at once when it is done within a slice. */
export async function inSlices<T>(work: Iterator<unknown, T>): Promise<T> {
  for (;;) {
    const until = performance.now() + SLICE_MS;
    do {
      const { done, value } = work.next();
      if (done === true) return value;
    } while (performance.now() < until);
    await nextTurn();
  }
}
