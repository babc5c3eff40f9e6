/**
 * The differences in an execution that was retried, or in which steps were ended by hand: a step may be over while an edge to
 * it is open again, and steps that a retry has left as they were may be cancelled or have failed.
 */
import type { ExecutionView, StepState } from '../view.ts';

/** Returns whether steps of the view were reset. */
export function isResumed({ steps }: Pick<ExecutionView, 'steps'>): boolean {
  return steps.some((state) => state !== undefined && state.resets > 0);
}

/**
 * Returns whether the edges to a step may say less, or something else, than when it was decided: it was ended by hand, or steps
 * before it were reset since.
 */
export function hasOtherInputs({ graph, steps }: ExecutionView, { slot, byHand }: StepState): boolean {
  return byHand || graph.incoming[slot]!.some(({ from }) => (steps[from]?.resets ?? 0) > 0);
}
