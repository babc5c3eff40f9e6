/**
 * A deliberate bug, and the tests that must find it.
 */
export interface Mutant {
  /** A description of the bug, as a reviewer would write it. */
  readonly name: string;
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly find: string;
  readonly replace: string;
  /** The tests to run; one failure is enough. */
  readonly tests: readonly string[];
}
