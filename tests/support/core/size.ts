/**
 * Sizes of tests: as small as `npm test` needs them, and in full with EXECUTION_ENGINE_HEAVY=1.
 *
 * `.ci/run` runs every test file that imports `sized` in full as well.
 */

export const IN_FULL = process.env.EXECUTION_ENGINE_HEAVY === '1';

/** Returns `full` in a run in full, else `small`. */
export function sized<T>(small: T, full: T): T {
  return IN_FULL ? full : small;
}
