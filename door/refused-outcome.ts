/**
 * Handles an event with a value that the database refuses: the step of a handler's outcome fails, the sender of an answer
 * is told, and no other step is concerned.
 */
import type { Event } from '../core/event.ts';
import { EngineError } from '../core/problem.ts';
import type { Mail } from './actor.ts';

/** Returns whether the event is the end of a handler that began. */
export function isOutcome(event: Event): event is Extract<Event, { type: 'complete' | 'fail' | 'park' }> {
  return event.type === 'complete' || event.type === 'fail' || event.type === 'park';
}

const REFUSED = 'output_not_storable';

/** Returns whether this event could carry the rejected value. */
export function isRefusable({ event }: Mail): boolean {
  if (event.type === 'answer') return true;
  return isOutcome(event) && !(event.type === 'fail' && event.error.code === REFUSED);
}

/** Returns the events to commit in place of those with the value that the database refuses. */
export function withoutRefused(mails: readonly Mail[], culprit: Mail, error: unknown): Mail[] {
  if (culprit.event.type !== 'answer')
    return mails.map((mail) => (mail === culprit ? { ...mail, event: refused(mail.event, error) } : mail));
  const message = `The database refused the value: ${(error as Error).message}`;
  culprit.settle?.('late', new EngineError('not_storable', message, [], error));
  return mails.filter((mail) => mail !== culprit);
}

/** Returns the failure that replaces a handler's outcome. */
function refused(event: Event, error: unknown): Event {
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
