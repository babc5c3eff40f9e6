/**
 * The outcome of a handler that the database refuses as a value: its step fails, and takes nobody down with it.
 */
import type { Event } from '../core/event.ts';
import type { Mail } from './actor.ts';

/** Returns whether a handler that began has ended by the event. */
export function isOutcome(event: Event): event is Extract<Event, { type: 'complete' | 'fail' | 'park' }> {
  return event.type === 'complete' || event.type === 'fail' || event.type === 'park';
}

const REFUSED = 'output_not_storable';

/** Whether this event could carry the rejected value. */
export function isRefusable({ event }: Mail): boolean {
  return isOutcome(event) && !(event.type === 'fail' && event.error.code === REFUSED);
}

/** The failure that takes the place of such an event. */
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
