/**
 * Ends a step by hand, whatever it does: it is completed, failed or skipped. A handler that runs is aborted, and its result is
 * late; what the step holds is cancelled. A step that waits for inputs counts as if its join had fired.
 *
 * Only transition.ts calls this.
 */
import { isCompensation } from '../compensation/compensation.ts';
import type { Event, ForcedResult } from '../event.ts';
import type { Plan } from '../plan.ts';
import { propagate, receivedInputs, settle, touch } from '../settlement.ts';
import { isFinalStep } from '../status.ts';
import type { ExecutionView, StepState } from '../view.ts';

/** A step that is to be ended. */
export interface TakenStep {
  readonly state: StepState;
  /** Whether an attempt of it is under way. */
  readonly isMade: boolean;
}

/** Takes the step from whatever it does. Returns null when it is over, or its execution is. */
export function takeStep(
  view: ExecutionView,
  plan: Plan,
  { slot, stepId, act }: Extract<Event, { type: 'force' }>,
): TakenStep | null {
  const state = view.steps[slot];
  if (state === undefined || state.id !== stepId || isFinalStep(state.status)) return null;
  if (isCompensation(view.graph, slot) || !isForceable(view)) return null;
  const change = touch(plan, state);
  const isMade = state.status === 'running' || state.status === 'waiting';
  if (state.status === 'running') plan.aborted.push(state);
  if (state.status === 'waiting_inputs') change.received = receivedInputs(view, slot);
  change.control = { isReset: false, byHand: act };
  state.byHand = true;
  state.parked = false;
  return { state, isMade };
}

/** Completes a taken step, or skips it. */
export function endTaken(
  view: ExecutionView,
  plan: Plan,
  state: StepState,
  result: Exclude<ForcedResult, { kind: 'fail' }>,
  newId: () => string,
): void {
  if (result.kind === 'complete') {
    plan.steps.get(state.slot)!.output = result.output;
    state.routes = result.routes;
  }
  settle(view, plan, state, result.kind === 'complete' ? 'completed' : 'skipped');
  propagate(view, plan, state, newId);
}

/** Returns whether steps of the view may be ended by hand. */
export function isForceable({ status }: Pick<ExecutionView, 'status'>): boolean {
  return status === 'running' || status === 'paused';
}
