/**
 * Shares the event loop among all work that may be long: as much as fits into a slice is done in one turn, so that a
 * hundred pieces never add up to a long block.
 *
 * Work that has not had a turn yet and work that goes on alternate: short work does not wait for all of the long.
 */

/** The longest that such work keeps the event loop in one turn, apart from its last piece. */
export const SLICE_MS = 8;

/** Work that waits for its turn. */
export interface Turned {
  /** Does a piece. Returns whether other work may use the rest of the turn. */
  run(): boolean;
}

export class TurnShare {
  readonly #now: () => number;
  /** Start of the first piece of this turn; null: there was none. */
  #begunAt: number | null = null;
  readonly #fresh: Turned[] = [];
  readonly #resumed: Turned[] = [];
  #isResumedNext = false;

  /** @param now milliseconds of a clock that never goes back */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Returns whether a piece may be done at once: nothing waits, and there is time left in this turn. */
  get isFree(): boolean {
    return this.#fresh.length + this.#resumed.length === 0 && this.hasTime;
  }

  /** Returns whether there is time left in this turn. */
  get hasTime(): boolean {
    if (this.#begunAt !== null) return this.#now() - this.#begunAt < SLICE_MS;
    this.#begin();
    return true;
  }

  /** Does short work: at once when it is free, and otherwise in a turn together with as much of the like as fits. */
  do(work: () => void): void {
    if (this.isFree) {
      work();
      return;
    }
    const run = () => {
      work();
      return true;
    };
    this.add({ run });
  }

  /** Returns a promise for a turn of its own. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      const run = () => {
        resolve();
        return false;
      };
      this.add({ run });
    });
  }

  /** @param hasBegun whether the work had a turn before */
  add(work: Turned, hasBegun = false): void {
    (hasBegun ? this.#resumed : this.#fresh).push(work);
    if (this.#begunAt === null) this.#begin();
  }

  #begin(): void {
    this.#begunAt = this.#now();
    setImmediate(() => this.#nextTurn());
  }

  #nextTurn(): void {
    this.#begunAt = null;
    for (let next = this.#take(); next !== undefined; next = this.#take()) {
      if (this.#begunAt === null) this.#begin();
      if (!next.run() || !this.hasTime) return;
    }
  }

  #take(): Turned | undefined {
    this.#isResumedNext = !this.#isResumedNext;
    const [first, second] = this.#isResumedNext ? [this.#resumed, this.#fresh] : [this.#fresh, this.#resumed];
    return first.shift() ?? second.shift();
  }
}

/** Of the event loop of this process. */
export const turns = new TurnShare();
