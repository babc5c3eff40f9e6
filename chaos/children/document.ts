/**
 * The template whose executions are children in a run, and the steps that start them.
 */
import type { JsonObject } from '../../core/json/json.ts';
import { workOf } from '../scopes/outcomes.ts';

const NAME = 'chaos-child';
const RETRIES = 1;

/** A child does some work in the name of the step that started it. */
export const CHILD: JsonObject = {
  name: NAME,
  output: '${{ steps.last.output }}',
  steps: {
    work: {
      type: 'chaos.effect',
      with: {
        seed: '${{ input.seed }}',
        kind: 'effect',
        retries: RETRIES,
        hangs: false,
        place: '${{ input.place }}',
      },
      retry: { limit: RETRIES, delay: 20, jitter: false },
    },
    last: {
      type: 'transform',
      needs: ['work'],
      with: { value: { seed: '${{ input.seed }}', step: '${{ input.place }}' } },
    },
  },
};

/** The parameters of a step that starts one. */
export function childParameters(key: string): JsonObject {
  return { name: NAME, inputs: { seed: '${{ input.seed }}', place: key } };
}

/** Returns whether each child of a step fails. */
export function childFails(seed: number, key: string): boolean {
  return workOf(RETRIES, seed, key).result === 'failed';
}
