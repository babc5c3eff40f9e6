/**
 * When an error keeps an execution's events from being decided or written, whatever is tried: a fault of the engine.
 */
import type { Event } from '../core/event.ts';
import type { Unit } from './commit-unit.ts';
import type { ExecutionDoor } from './execution-door.ts';

/** Events by which a handler that began has ended. */
const OUTCOMES: ReadonlySet<Event['type']> = new Set(['complete', 'fail', 'park']);

/** Drops the events. What handlers did is lost with them, and counts as an attempt: it is not made again as the same. */
export function refuse(door: ExecutionDoor, unit: Unit, error: unknown): void {
  door.options.observer.commitFailed(error, false);
  door.settleAll(unit, 'late', error);
  for (const { event } of unit.mails) {
    if (!OUTCOMES.has(event.type) || !('claim' in event)) continue;
    const { position, claim } = event;
    door.post(unit.actor.id, { type: 'displace', position, claim });
  }
}
