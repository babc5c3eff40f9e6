/**
 * Randomness that a test can repeat from its seed.
 */

/** A small seeded generator (mulberry32), in [0, 1). */
export function seededRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Decisions by chance, with a limited number of mishaps: without an end to them an execution need not end. */
export class Luck {
  readonly random: () => number;
  #mishaps: number;

  constructor(seed: number, mishaps: number) {
    this.random = seededRandom(seed);
    this.#mishaps = mishaps;
  }

  mishap(probability: number): boolean {
    if (this.#mishaps === 0 || !this.chance(probability)) return false;
    this.#mishaps -= 1;
    return true;
  }

  chance(probability: number): boolean {
    return this.random() < probability;
  }

  /** Returns a whole number from 0 to `limit` - 1. */
  below(limit: number): number {
    return Math.floor(this.random() * limit);
  }
}
