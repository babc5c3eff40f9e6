/**
 * Handles a handler's outcome with a value that the database refuses: its step fails, and no other.
 */
import type { Event } from '../core/event.ts';
import type { Mail } from './actor.ts';

/** Returns whether the event is the end of a handler that began. */
export function isOutcome(event: Event): event is Extract<Event, { type: 'complete' | 'fail' | 'park' }> {
  return event.type === 'complete' || event.type === 'fail' || event.type === 'park';
}

const REFUSED = 'output_not_storable';

/** Returns whether this event could carry the rejected value. */
export function isRefusable({ event }: Mail): boolean {
  return isOutcome(event) && !(event.type === 'fail' && event.error.code === REFUSED);
}

/** Returns the failure that replaces such an event. */
export function refused(event: Event, error: unknown): Event {
  const { slot, claim } = event as Extract<Event, { type: 'complete' }>;
  const message = `The database refused the output: ${(error as Error).message}`;
  return {
    type: 'fail',
    slot,
    claim,
    error: { code: REFUSED, message, details: null },
    retryable: false,
    retryAfterMs: null,
    begun: true,
    random: 0,
  };
}
