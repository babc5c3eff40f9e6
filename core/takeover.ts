/**
 * The event by which a step is taken from an engine that is dead.
 */
import type { Claim, Event } from './event.ts';

/**
 * A crash counts against a step whose handler ran in the dead process itself. One that ran in a process beside it had no
 * part in its death: its attempt is lost, and that is all.
 */
export function takeoverEvent(slot: number, claim: Claim, ranBeside: boolean): Event {
  return { type: ranBeside ? 'displace' : 'rescue', slot, claim };
}
