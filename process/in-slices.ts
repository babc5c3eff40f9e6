/**
 * Long work on the event loop, a slice at a time: other work runs between two slices. All such work shares the turns of
 * the event loop.
 */
import { SLICE_MS, type Turned, turns } from './turn-share.ts';

/** The longest that one work keeps others waiting for the rest of a turn, apart from its last piece. */
const PIECES_MS = SLICE_MS / 4;

/** Returns the result of work that may be paused at each yield; at once when it is done within a slice. */
export function inSlices<T>(work: Iterator<unknown, T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const sliced = new SlicedWork(work, resolve, reject);
    if (!turns.isFree) turns.add(sliced);
    else sliced.begin();
  });
}

class SlicedWork<T> implements Turned {
  readonly #work: Iterator<unknown, T>;
  readonly #resolve: (value: T) => void;
  readonly #reject: (thrown: unknown) => void;

  constructor(work: Iterator<unknown, T>, resolve: (value: T) => void, reject: (thrown: unknown) => void) {
    this.#work = work;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Takes what is left of this turn. */
  begin(): void {
    while (turns.hasTime) if (this.#isOver()) return;
    turns.add(this, true);
  }

  run(): boolean {
    const until = performance.now() + PIECES_MS;
    do {
      // The rest of the turn belongs to whatever goes on with the result.
      if (this.#isOver()) return false;
    } while (performance.now() < until);
    turns.add(this, true);
    return true;
  }

  /** Does a piece. */
  #isOver(): boolean {
    try {
      const { done, value } = this.#work.next();
      if (done === true) this.#resolve(value);
      return done === true;
    } catch (thrown) {
      this.#reject(thrown);
      return true;
    }
  }
}
