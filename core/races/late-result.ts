/**
 * Results that are kept although they came too late to count: those of steps that had lost a race.
 */
import type { Event } from '../event.ts';
import type { Plan } from '../plan.ts';

export interface LateResult {
  readonly stepId: string;
  readonly event: Extract<Event, { type: 'complete' | 'fail' }>;
}

/** Returns the results among the late events of a plan, of the attempts in which their steps had lost. */
export function lateResults({ view, late }: Plan): LateResult[] {
  if (late.length === 0 || view.graph.mayLose === null) return [];
  return late.flatMap((event) => {
    if (event.type !== 'complete' && event.type !== 'fail') return [];
    const state = view.steps[event.slot];
    const { attempt, stepId = state?.id } = event.claim;
    if (state?.lost !== true || state.attempt !== attempt || state.id !== stepId) return [];
    return { stepId: state.id, event };
  });
}
