/**
 * Long work that can be paused: a generator that yields after each piece.
 */

/** Work whose result is a `T`. */
export type Pieces<T> = Generator<void, T>;

/** Characters of a text that are handled in one piece, in less than a millisecond as a rule. */
export const PIECE = 64 * 1_024;

/** Returns the result of work that need not be paused. */
export function runToEnd<T>(work: Pieces<T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
  }
}
