/**
 * Shares the event loop among many short pieces of work: as many as fit into a slice are done in one turn. Each of the
 * rest gets a turn of its own, in their order, so that a hundred pieces never add up to a long block.
 */
import { SLICE_MS } from './in-slices.ts';

export class TurnShare {
  /** Start of the first piece of this turn, of performance.now(); null: there was none. */
  #begunAt: number | null = null;
  readonly #waiting: (() => void)[] = [];

  /** Returns null when the next piece may be done at once; otherwise a promise for its turn. */
  wait(): Promise<void> | null {
    if (this.#waiting.length === 0 && this.#hasTime()) return null;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #hasTime(): boolean {
    if (this.#begunAt !== null) return performance.now() - this.#begunAt < SLICE_MS;
    this.#begin();
    return true;
  }

  #begin(): void {
    this.#begunAt = performance.now();
    setImmediate(() => this.#nextTurn());
  }

  #nextTurn(): void {
    this.#begunAt = null;
    const resolve = this.#waiting.shift();
    if (resolve === undefined) return;
    this.#begin();
    resolve();
  }
}
