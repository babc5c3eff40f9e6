/**
 * A limited number of places, given in the order of requests; some requests wait for one, for a limited time.
 */
export class Places {
  /** Start of each use, of performance.now(); the first has been in use the longest. */
  readonly #taken = new Set<{ readonly since: number }>();
  readonly #waiting = new Set<(place: (() => void) | null) => void>();
  readonly #most: () => number;
  readonly #maxWaiting: number;

  /** @param most places, now; @param maxWaiting requests that may wait */
  constructor(most: () => number, maxWaiting: number) {
    this.#most = most;
    this.#maxWaiting = maxWaiting;
  }

  /** Milliseconds until the next place is free, when every use takes as long as the longest current one. */
  get paceMs(): number {
    const [first] = this.#taken;
    return first === undefined ? 0 : (performance.now() - first.since) / this.#most();
  }

  /** Takes a place, and returns the function that leaves it. Null: none was free in time, or too many wait. */
  async enter(withinMs: number): Promise<(() => void) | null> {
    if (this.#taken.size < this.#most()) return this.#take();
    if (this.#waiting.size >= this.#maxWaiting) return null;
    const { promise, resolve } = Promise.withResolvers<(() => void) | null>();
    this.#waiting.add(resolve);
    const timer = setTimeout(() => this.#giveUp(resolve), withinMs);
    const place = await promise;
    clearTimeout(timer);
    return place;
  }

  /** Ends all waits. */
  close(): void {
    for (const resolve of this.#waiting) this.#giveUp(resolve);
  }

  #giveUp(resolve: (place: (() => void) | null) => void): void {
    this.#waiting.delete(resolve);
    resolve(null);
  }

  #take(): () => void {
    const taken = { since: performance.now() };
    this.#taken.add(taken);
    return () => {
      this.#taken.delete(taken);
      const [next] = this.#waiting;
      if (next === undefined) return;
      this.#waiting.delete(next);
      next(this.#take());
    };
  }
}
