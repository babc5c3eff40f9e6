/**
 * The end of an execution: by its own steps, or by a stop, a cancellation, a timeout or a rejection.
 *
 * Called by transition.ts only, except `failOutput`: outputs are made once the plan exists.
 */

import {
  beginUndoing,
  breakOffUndoing,
  hasToUndo,
  isCompensation,
  isUndoing,
  nextToUndo,
  undoesScopes,
} from './compensation/compensation.ts';
import { type ExecutionEnd, type Plan, scopeChanges } from './plan.ts';
import { countCancelled } from './scopes/held-scopes.ts';
import {
  cancelScopes,
  createState,
  holdsOpen,
  makeReady,
  settle,
  stopScopes,
  touch,
  undoScopes,
} from './settlement.ts';
import { isFinalStep } from './status.ts';
import type { ExecutionFailure, ExecutionView, StepState } from './view.ts';

export function endWhenOver(view: ExecutionView, plan: Plan, newId: () => string): void {
  if (plan.end !== null || !isOver(view)) return;
  if (view.status === 'compensating') {
    goOnCompensating(view, plan, newId);
    return;
  }
  if (view.stopRequested !== null) {
    endStopped(view, plan, newId);
    return;
  }
  const status = view.failure === null ? 'completed' : 'failed';
  conclude(view, plan, { status, error: view.failure }, newId);
}

/**
 * Returns whether nothing is left to do: every step is settled, or a stop was requested and nothing is running, or the
 * last compensation so far has ended. Before the first compensation the children of the execution are final.
 */
export function isOver(view: ExecutionView): boolean {
  const { stopRequested, status, steps, settledCount, graph } = view;
  if (status === 'compensating' && (view.hasOpenChildren || isUndoing(view))) return false;
  if (stopRequested !== null || status === 'compensating')
    return !steps.some((state) => state !== undefined && (state.status === 'running' || holdsOpen(state)));
  return settledCount >= graph.size;
}

export function endStopped(view: ExecutionView, plan: Plan, newId: () => string): true {
  return conclude(view, plan, stopped(view), newId);
}

export function stopped({ stopRequested }: ExecutionView): ExecutionEnd {
  return { status: 'cancelled', error: cancelledError(stopRequested?.reason ?? null) };
}

/** Whether steps that run, here and in open scopes, have time to give a result. */
export type Grace = 'grace' | 'none';

/** Ends the execution, or makes it compensating where something is to be undone. */
export function conclude(
  view: ExecutionView,
  plan: Plan,
  how: ExecutionEnd,
  newId: () => string,
  grace: Grace = 'none',
): true {
  if (how.status === 'completed' || !hasToUndo(view)) return end(view, plan, how, newId);
  view.status = 'compensating';
  view.due = how.status;
  view.failure = how.error;
  plan.compensating = true;
  windDown(view, plan, grace, newId);
  if (isOver(view)) goOnCompensating(view, plan, newId);
  return true;
}

/** Cancels what has not begun or is parked, and tells what runs to end. */
export function windDown(view: ExecutionView, plan: Plan, grace: Grace, newId: () => string): void {
  if (grace === 'none') {
    cancelBelow(view, plan);
    cancelUnsettled(view, plan, () => true, newId);
    return;
  }
  for (const state of view.steps) if (state !== undefined && holdsOpen(state)) stopScopes(plan, state);
  cancelUnsettled(view, plan, (state) => state.status !== 'running' && !holdsOpen(state), newId);
  for (const state of view.steps) if (state?.status === 'running') plan.aborted.push(state);
}

/**
 * Takes note of the scopes that the plan has stopped and that are over with it: no step ran in them. They are found and ended
 * once it is decided.
 * @param cancelled their numbers by the slot of their holder
 */
export function countStopped(plan: Plan, cancelled: ReadonlyMap<number, number>, newId: () => string): void {
  const { view } = plan;
  for (const [slot, count] of cancelled) {
    const state = view.steps[slot]!;
    countCancelled(state.held!, count);
    if (holdsOpen(state) || isFinalStep(state.status)) continue;
    touch(plan, state);
    settle(view, plan, state, 'cancelled');
  }
  endWhenOver(view, plan, newId);
}

function goOnCompensating(view: ExecutionView, plan: Plan, newId: () => string): void {
  const next = nextToUndo(view);
  if (next === null) end(view, plan, { status: view.due!, error: view.failure }, newId);
  else if (isCompensation(view.graph, next)) makeReady(plan, createState(view, plan, next, newId), []);
  else undoScopes(plan, view.steps[next]!, beginUndoing(view.steps[next]!.held!));
}

/** Ends the execution: unsettled steps are cancelled, running handlers are aborted. */
export function end(view: ExecutionView, plan: Plan, how: ExecutionEnd, newId: () => string): true {
  cancelBelow(view, plan);
  cancelUnsettled(view, plan, () => true, newId);
  cancelCompensation(view, plan);
  view.status = how.status;
  view.due = null;
  view.failure = how.error;
  plan.end = how;
  return true;
}

/** Ends what goes on in the scopes of steps that are over: scopes that had time to end, and those that are being undone. */
function cancelBelow(view: ExecutionView, plan: Plan): void {
  for (const state of view.steps) {
    if (state === undefined || !isFinalStep(state.status)) continue;
    if (holdsOpen(state)) cancelScopes(plan, state);
    if (!undoesScopes(state)) continue;
    const changes = scopeChanges(plan);
    const { slot } = state;
    breakOffUndoing(state.held!);
    // Those that this very plan was to undo stay as they are.
    changes.undone = changes.undone.filter((scope) => scope.slot !== slot);
    changes.counted.add(slot);
    changes.endedBelow.set(slot, 'cancel');
  }
}

function cancelCompensation(view: ExecutionView, plan: Plan): void {
  for (const state of view.steps.slice(view.graph.size)) {
    if (state === undefined || isFinalStep(state.status)) continue;
    touch(plan, state);
    if (state.status === 'running') plan.aborted.push(state);
    settle(view, plan, state, 'cancelled');
  }
}

/** The steps are done, but the output of the execution could not be made: the execution fails. */
export function failOutput(plan: Plan, reason: string, newId: () => string): void {
  const message = `The output could not be made: ${reason}`;
  failCompleted(plan, { code: 'output_failed', message, step: null }, newId);
}

/** Makes a plan that completes the execution fail it. */
export function failCompleted(plan: Plan, error: ExecutionFailure, newId: () => string): void {
  plan.end = null;
  conclude(plan.view, plan, { status: 'failed', error }, newId);
}

export function cancelUnsettled(
  view: ExecutionView,
  plan: Plan,
  which: (state: StepState) => boolean,
  newId: () => string,
): void {
  if (view.settledCount === view.graph.size) return;
  for (let slot = 0; slot < view.graph.size; slot++) {
    const state = view.steps[slot] ?? createState(view, plan, slot, newId);
    if (isFinalStep(state.status) || !which(state)) continue;
    touch(plan, state);
    if (state.status === 'running') plan.aborted.push(state);
    settle(view, plan, state, 'cancelled');
  }
}

export function cancelledError(reason: string | null): ExecutionFailure {
  return { code: 'cancelled', message: reason ?? 'The execution was cancelled.', step: null };
}

export function timedOutError(): ExecutionFailure {
  return { code: 'timed_out', message: 'The execution did not finish within its timeout.', step: null };
}
