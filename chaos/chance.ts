/**
 * The random choices of a run, drawn from its seed. Each purpose has its own stream, so that a change in one purpose
 * leaves the others as they are.
 */
import { seededRandom } from '../tests/support/core/seeded-random.ts';

export interface Chance {
  /** In [0, 1). */
  next(): number;
  /** True with this probability. */
  happens(probability: number): boolean;
  /** A whole number in [0, limit). */
  below(limit: number): number;
  /** A number in [from, to). */
  between(range: readonly [from: number, to: number]): number;
  pick<T>(list: readonly T[]): T;
}

export function chance(seed: number, ...purpose: (string | number)[]): Chance {
  const next = seededRandom(hash(`${seed}/${purpose.join('/')}`));
  const below = (limit: number) => Math.floor(next() * limit);
  return {
    next,
    below,
    happens: (probability) => next() < probability,
    between: ([from, to]) => from + next() * (to - from),
    pick: (list) => list[below(list.length)]!,
  };
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) {
    value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  }
  return value;
}
