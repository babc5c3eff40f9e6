/**
 * What is wrong with compensations in a view, in words that go on after the name of the execution or the step. Part of
 * core/invariants.ts.
 */
import { isFinalStep } from '../status.ts';
import type { ExecutionView, StepState } from '../view.ts';
import { isCompensation, undoneBy } from './compensation.ts';

/** Steps that run come to their end first, then one compensation after the other. */
export function faultsOfCompensating({ status, graph, steps, due }: ExecutionView): string[] {
  const isCompensating = status === 'compensating';
  const faults = isCompensating === (due === null) ? [`is ${status}, and ${due} follows`] : [];
  const open = steps.filter((state) => state !== undefined && !isFinalStep(state.status));
  const undoing = open.filter((state) => isCompensation(graph, state!.slot));
  if (undoing.length > 1 || (undoing.length === 1 && open.length > 1))
    faults.push(`works on ${open.length} steps while it compensates`);
  return faults;
}

/** A compensation is there for a completed step alone, once its execution winds down. */
export function faultsOfCompensation({ graph, status, steps }: ExecutionView, { slot }: StepState): string[] {
  if (!isCompensation(graph, slot)) return [];
  const faults: string[] = [];
  if (steps[undoneBy(graph, slot)]?.status !== 'completed')
    faults.push('undoes a step that did not complete');
  if (status === 'pending' || status === 'running' || status === 'completed')
    faults.push(`is there while the execution is ${status}`);
  return faults;
}
