/**
 * The steps that a retry runs again when none is named.
 */
import type { ExecutionView } from '../view.ts';

/** Returns failures that nothing handles, and what was cancelled, but not the losers of races. */
export function brokenSteps({ graph, steps }: ExecutionView): number[] {
  return [...Array(graph.size).keys()].filter((slot) => {
    const state = steps[slot];
    if (state?.status === 'failed') return !graph.handlesFailure[slot];
    return state?.status === 'cancelled' && !state.lost;
  });
}
