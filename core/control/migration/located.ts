/**
 * Finds the step of an event. Its slot is of the moment at which the event was made: since then the execution may have moved to
 * another version of its template.
 */
import type { Event } from '../../event.ts';
import { type ExecutionView, findSlot } from '../../view.ts';

/** Returns the event with the slot that its step has in the view; null: the view does not have the step. */
export function located(view: ExecutionView, event: Event): Event | null {
  if (!('slot' in event)) return event;
  const stepId = 'claim' in event ? event.claim.stepId : 'stepId' in event ? event.stepId : undefined;
  if (stepId === undefined || view.steps[event.slot]?.id === stepId) return event;
  const slot = findSlot(view, stepId);
  return slot === null ? null : { ...event, slot };
}
