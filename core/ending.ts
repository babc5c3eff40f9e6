/**
 * The end of an execution: by its own steps, or by a stop, a cancellation, a timeout or a rejection.
 *
 * Called by transition.ts only, except `failOutput`: outputs are made once the plan exists.
 */
import type { ExecutionEnd, Plan } from './plan.ts';
import { createState, holdsOpen, settle, touch } from './settlement.ts';
import { isFinalStep } from './status.ts';
import type { ExecutionFailure, ExecutionView, StepState } from './view.ts';

export function endWhenOver(view: ExecutionView, plan: Plan, newId: () => string): void {
  if (plan.end !== null || !isOver(view)) return;
  if (view.stopRequested !== null) {
    endStopped(view, plan, newId);
    return;
  }
  const status = view.failure === null ? 'completed' : 'failed';
  end(view, plan, { status, error: view.failure }, newId);
}

/** Returns whether nothing is left to do: every step is settled, or a stop was requested and nothing is running. */
export function isOver({ stopRequested, steps, settledCount, graph }: ExecutionView): boolean {
  if (stopRequested !== null)
    return !steps.some((state) => state !== undefined && (state.status === 'running' || holdsOpen(state)));
  return settledCount >= graph.size;
}

export function endStopped(view: ExecutionView, plan: Plan, newId: () => string): true {
  return end(
    view,
    plan,
    { status: 'cancelled', error: cancelledError(view.stopRequested?.reason ?? null) },
    newId,
  );
}

/** Ends the execution: unsettled steps are cancelled, running handlers are aborted. */
export function end(view: ExecutionView, plan: Plan, how: ExecutionEnd, newId: () => string): true {
  cancelUnsettled(view, plan, () => true, newId);
  view.status = how.status;
  plan.end = how;
  return true;
}

/** The steps are done, but the output of the execution could not be made: the execution fails. */
export function failOutput(plan: Plan, reason: string): void {
  const error = { code: 'output_failed', message: `The output could not be made: ${reason}`, step: null };
  plan.view.status = 'failed';
  plan.end = { status: 'failed', error };
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
