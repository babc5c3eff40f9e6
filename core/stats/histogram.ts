/**
 * Durations counted in classes whose width grows with them, so that a percentile is known within 4 % from a few numbers.
 *
 * Class 0 is a duration of 0. Class n > 0 ends at `SMALLEST_MS * GROWTH^(n - 1)`, and begins where the one before ends.
 */

/** Durations that differ by less are not told apart. */
const SMALLEST_MS = 0.01;
/** Within a class every duration is within 4 % of its middle. */
const ERROR = 0.04;
const GROWTH = (1 + ERROR) / (1 - ERROR);
const LOG_GROWTH = Math.log(GROWTH);

/** Numbers of durations by class. */
export type Histogram = Map<number, number>;

export function classOf(ms: number): number {
  if (ms <= 0) return 0;
  return Math.max(1, 1 + Math.ceil(Math.log(ms / SMALLEST_MS) / LOG_GROWTH));
}

/** Returns the duration that stands for a class. */
export function durationOf(number: number): number {
  if (number === 0) return 0;
  return (SMALLEST_MS * GROWTH ** (number - 1) * 2) / (GROWTH + 1);
}

export function addTo(histogram: Histogram, other: Iterable<readonly [number, number]>): void {
  for (const [number, count] of other) histogram.set(number, (histogram.get(number) ?? 0) + count);
}

/** Durations of many spans put together: read often, and therefore without a map. */
export class Durations {
  /** By class. */
  readonly #counts: number[] = [];
  #total = 0;

  /** @param pairs of class and number, one after the other */
  add(pairs: readonly number[]): void {
    for (let at = 0; at + 1 < pairs.length; at += 2) {
      const number = pairs[at]!;
      while (this.#counts.length <= number) this.#counts.push(0);
      this.#counts[number]! += pairs[at + 1]!;
      this.#total += pairs[at + 1]!;
    }
  }

  /** Returns the duration that a share of all does not exceed (nearest rank); null: there is none. */
  percentile(share: number): number | null {
    if (this.#total === 0) return null;
    let left = Math.max(1, Math.ceil(this.#total * share));
    for (const [number, count] of this.#counts.entries()) {
      left -= count;
      if (left <= 0) return durationOf(number);
    }
    return null;
  }
}

/** Returns pairs of class and number, one after the other, as they are stored. */
export function toPairs(histogram: Histogram): number[] {
  return [...histogram].sort(([a], [b]) => a - b).flat();
}

export function* fromPairs(pairs: readonly number[]): Generator<readonly [number, number]> {
  for (let at = 0; at + 1 < pairs.length; at += 2) yield [pairs[at]!, pairs[at + 1]!];
}
