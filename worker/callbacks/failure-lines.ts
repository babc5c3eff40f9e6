/**
 * Decides which failed calls of callbacks are logged: the first of a receiver at once, then one a minute at most, with
 * the number of those since the line before.
 */

const LINE_EVERY_MS = 60_000;
/** Beyond it the receiver that was logged least recently is forgotten. */
const MAX_RECEIVERS = 1_000;

interface Told {
  at: number;
  /** Failed calls since then. */
  untold: number;
}

export class FailureLines {
  readonly #now: () => number;
  readonly #receivers = new Map<string, Told>();

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Counts a failed call. Returns the number of failed calls that a line is due for; 0: none is due. */
  told(receiver: string): number {
    const now = this.#now();
    const last = this.#receivers.get(receiver);
    const count = (last?.untold ?? 0) + 1;
    if (last !== undefined && now - last.at < LINE_EVERY_MS) {
      last.untold = count;
      return 0;
    }
    this.#receivers.delete(receiver);
    this.#receivers.set(receiver, { at: now, untold: 0 });
    if (this.#receivers.size > MAX_RECEIVERS) this.#receivers.delete(this.#receivers.keys().next().value!);
    return count;
  }
}
