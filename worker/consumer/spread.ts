/**
 * When things that cannot be done now are looked at again: soon where there are few, spread out where there are many,
 * so that looking at them in vain stays a part of the work.
 */
export class Spread {
  readonly #soonestMs: number;
  readonly #latestMs: number;
  /** Of performance.now(): when the last one comes back. */
  #last = Number.NEGATIVE_INFINITY;

  constructor(soonestMs: number, latestMs: number) {
    this.#soonestMs = soonestMs;
    this.#latestMs = latestMs;
  }

  /**
   * Milliseconds until the next one comes back.
   * @param apartMs between it and the one before, at least
   */
  next(apartMs: number, now = performance.now()): number {
    const due = Math.max(now + this.#soonestMs, this.#last + apartMs);
    this.#last = Math.min(due, now + this.#latestMs);
    return Math.round(this.#last - now);
  }
}
