/**
 * Schedules repeated looks at blocked work: soon when there is little of it, spread out when there is much,
 * so that looking for nothing stays a small part of the work.
 */
export class Spread {
  readonly #soonestMs: number;
  readonly #latestMs: number;
  /** Time at which the last one comes back, of performance.now(). */
  #last = Number.NEGATIVE_INFINITY;

  constructor(soonestMs: number, latestMs: number) {
    this.#soonestMs = soonestMs;
    this.#latestMs = latestMs;
  }

  /**
   * Returns milliseconds until the next one comes back.
   * @param apartMs least time between it and the one before
   */
  next(apartMs: number, now = performance.now()): number {
    const due = Math.max(now + this.#soonestMs, this.#last + apartMs);
    this.#last = Math.min(due, now + this.#latestMs);
    return Math.round(this.#last - now);
  }
}
