/**
 * When an error keeps an execution's events from being decided or written, whatever is tried: a fault of the engine.
 */
import type { Event } from '../core/event.ts';
import type { Mail } from './actor.ts';
import type { ExecutionDoor } from './execution-door.ts';
import type { Unit } from './unit.ts';

/** An event by which a handler that began has ended. */
function isOutcome(event: Event): event is Extract<Event, { type: 'complete' | 'fail' | 'park' }> {
  return event.type === 'complete' || event.type === 'fail' || event.type === 'park';
}

/** Drops the events. What handlers did is lost with them, and counts as an attempt: it is not made again as the same. */
export function refuse(door: ExecutionDoor, unit: Unit, error: unknown): void {
  door.options.observer.commitFailed(error, false);
  door.settleAll(unit, 'late', error);
  for (const { event } of unit.mails) {
    if (!isOutcome(event)) continue;
    const { position, claim } = event;
    door.post(unit.actor.id, { type: 'displace', position, claim });
  }
}

const REFUSED = 'output_not_storable';

/** Whether it may hold the value that the database refuses. */
export function isRefusable({ event }: Mail): boolean {
  return isOutcome(event) && !(event.type === 'fail' && event.error.code === REFUSED);
}

/** The failure that takes the place of such an event. */
export function refused(event: Event, error: unknown): Event {
  const { position, claim } = event as Extract<Event, { type: 'complete' }>;
  const message = `The database refused the output: ${(error as Error).message}`;
  return {
    type: 'fail',
    position,
    claim,
    error: { code: REFUSED, message, details: null },
    retryable: false,
    retryAfterMs: null,
    begun: true,
    random: 0,
  };
}
