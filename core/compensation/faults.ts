/**
 * What is wrong with compensations in a view, in words that go on after the name of the execution or the step. Part of
 * core/invariants.ts.
 */
import { isFinalStep } from '../status.ts';
import type { ExecutionView, StepState } from '../view.ts';
import { isCompensation, undoesScopes, undoneBy } from './compensation.ts';

/** Steps that run come to their end first, then one compensation after the other. */
export function faultsOfCompensating({ status, graph, steps, due }: ExecutionView): string[] {
  const isCompensating = status === 'compensating';
  const faults = isCompensating === (due === null) ? [`is ${status}, and ${due} follows`] : [];
  const open = steps.filter((state) => state !== undefined && !isFinalStep(state.status));
  const compensations = open.filter((state) => isCompensation(graph, state!.slot)).length;
  const holders = steps.filter((state) => state !== undefined && undoesScopes(state)).length;
  const others = open.length - compensations + steps.filter(holdsMore).length;
  const undoing = compensations + holders;
  if (undoing > 1 || (undoing === 1 && others > 0))
    faults.push(`works on ${undoing + others} steps while it compensates`);
  return faults;
}

/** A holder that is over and whose scopes have time to end. */
function holdsMore(state: StepState | undefined): boolean {
  return state !== undefined && isFinalStep(state.status) && (state.held?.open ?? 0) > 0;
}

/** The scopes of a holder are undone as many at a time as may be open, from the last one down. */
export function faultsOfUndoing({ status }: ExecutionView, { held, status: of }: StepState): string[] {
  if (held === null || held.undoing === null) return [];
  const { next, open } = held.undoing;
  const { concurrency } = held;
  const faults: string[] = [];
  if (open < 0 || open > concurrency) faults.push(`undoes ${open} scopes at a time, of ${concurrency}`);
  if (next < 0 || next > held.next) faults.push(`is to undo ${next} more scopes of ${held.next}`);
  if (open > 0 && status !== 'compensating') faults.push(`undoes scopes while the execution is ${status}`);
  if (open > 0 && !isFinalStep(of)) faults.push(`is ${of} while its scopes are undone`);
  if (open > 0 && open < concurrency && next > 0) faults.push(`undoes ${open} scopes, and may undo more`);
  if (open === 0 && next > 0 && status === 'compensating')
    faults.push(`stands still with ${next} scopes to undo`);
  return faults;
}

/** A compensation is there for a completed step alone, once its execution winds down. */
export function faultsOfCompensation(
  { graph, scope, status, steps }: ExecutionView,
  { slot }: StepState,
): string[] {
  if (!isCompensation(graph, slot)) return [];
  const faults: string[] = [];
  if (steps[undoneBy(graph, slot)]?.status !== 'completed')
    faults.push('undoes a step that did not complete');
  // A scope may have completed before its execution was undone.
  if (status === 'pending' || status === 'running' || (status === 'completed' && scope === null))
    faults.push(`is there while the execution is ${status}`);
  return faults;
}
