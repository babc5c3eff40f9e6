/**
 * The cases that a property is tried on: the same ones each time, so that `npm test` says of two runs of one version the
 * same. `npm test` tries a sixth of their number, FUZZ_RUNS multiplies it; FUZZ_SEED draws others, and repeats a run whose
 * seed a failure named.
 */

const TIMES = Number(process.env.FUZZ_RUNS ?? 1 / 6);
/** Arbitrary; for whatever else a test draws. */
export const SEED = Number(process.env.FUZZ_SEED ?? 20_261_130);

/** The parameters of fast-check for so many cases. */
export function cases(count: number): { readonly numRuns: number; readonly seed: number } {
  return { numRuns: Math.ceil(count * TIMES), seed: SEED };
}
