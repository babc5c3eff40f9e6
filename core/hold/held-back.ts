/**
 * The holds on an execution, as others ask for them. Pure.
 */
import type { Plan } from '../plan.ts';
import { unopened } from '../scopes/held-scopes.ts';
import type { ExecutionView, StepState } from '../view.ts';

/** Returns whether the plan pauses the execution, or lets it go on: scopes and children of it have to do with that. */
export function changesHold({ fromStatus, view, end }: Plan): boolean {
  if (end !== null || view.scope !== null || view.status === 'compensating') return false;
  return (fromStatus === 'paused') !== (view.status === 'paused');
}

/** Returns whether the execution has begun: one that was paused before that has no steps. */
export function isUnderWay(view: ExecutionView): boolean {
  return view.status !== 'pending' && (view.status !== 'paused' || hasBegun(view));
}

export function hasBegun({ steps }: ExecutionView): boolean {
  return steps.some((state) => state !== undefined);
}

/** Returns whether the step waits for scopes of which more may be open. */
export function mayOpenMore({ status, held }: StepState): boolean {
  return status === 'waiting' && held !== null && held.open < held.concurrency && unopened(held) > 0;
}
