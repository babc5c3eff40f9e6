/**
 * Incidents: steps that would have failed for good, and pause their execution instead until somebody decides. Such a step is
 * `retrying`, and has no timer.
 */
import { windsDown } from '../compensation/compensation.ts';
import type { Plan, StepChange } from '../plan.ts';
import { leaveProcess, makeReady, touch } from '../settlement.ts';
import type { ExecutionView, StepState } from '../view.ts';

/** Returns whether a failure for good of the step is left to somebody outside. */
export function pausesWhenExhausted(view: ExecutionView, slot: number): boolean {
  return view.graph.pauses?.[slot] === true && !windsDown(view, slot);
}

export function openIncident(state: StepState, change: StepChange, retryable: boolean): void {
  leaveProcess({ state, change }, 'retrying', null);
  change.incident = { retryable };
}

/** All retries of the step are there again. */
export function tryAgain(plan: Plan, state: StepState): void {
  touch(plan, state);
  state.retries = 0;
  makeReady(plan, state, null);
}

/** Returns whether the step waits for somebody to decide what becomes of it. */
export function isIncident({ status, hasTimer }: Pick<StepState, 'status' | 'hasTimer'>): boolean {
  return status === 'retrying' && !hasTimer;
}

export function hasIncident({ graph, steps }: ExecutionView): boolean {
  return graph.pauses !== null && steps.some((state) => state !== undefined && isIncident(state));
}
