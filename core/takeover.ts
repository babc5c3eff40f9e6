/**
 * The event that takes a step from a dead engine.
 */
import type { Claim, Event } from './event.ts';

/**
 * A crash is counted for a step whose handler ran in the dead process itself. A handler in a separate process did not
 * cause that death: its attempt is only lost.
 */
export function takeoverEvent(slot: number, claim: Claim, ranBeside: boolean): Event {
  return { type: ranBeside ? 'displace' : 'rescue', slot, claim };
}
