/**
 * A number of places, given in the order in which they were asked for; some wait for one, for a while.
 */
export class Places {
  /** Since when each is taken, of performance.now(); the first of them is taken for longest. */
  readonly #taken = new Set<{ readonly since: number }>();
  readonly #waiting = new Set<(place: (() => void) | null) => void>();
  readonly #most: number;
  readonly #maxWaiting: number;

  constructor(most: number, maxWaiting: number) {
    this.#most = most;
    this.#maxWaiting = maxWaiting;
  }

  /** How long one that comes now has to wait when all take as long as the one that is longest in, in milliseconds. */
  get paceMs(): number {
    const [first] = this.#taken;
    return first === undefined ? 0 : (performance.now() - first.since) / this.#most;
  }

  /** What it gives leaves the place. Null: there was none within the time, or too many wait. */
  async enter(withinMs: number): Promise<(() => void) | null> {
    if (this.#taken.size < this.#most) return this.#take();
    if (this.#waiting.size >= this.#maxWaiting) return null;
    const { promise, resolve } = Promise.withResolvers<(() => void) | null>();
    this.#waiting.add(resolve);
    const timer = setTimeout(() => this.#giveUp(resolve), withinMs);
    const place = await promise;
    clearTimeout(timer);
    return place;
  }

  /** Nobody waits any longer. */
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
