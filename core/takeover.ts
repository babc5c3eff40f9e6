/**
 * Where a step's handler runs, by how often its process has died, and the event that takes it from a dead engine.
 *
 * A handler of the operator's runs in a step host, a built-in one in the engine until that has died twice with it. Then
 * it runs in a host with others: the engine is out of danger, and many such steps cost as little as others in hosts. A
 * step whose host has died twice (a built-in one's once, after the engine twice) runs alone: if that host dies too, the
 * step is to blame.
 */
import type { Claim, Event } from './event.ts';

export type HandlerPlace = 'engine' | 'shared host' | 'own host';

const MAX_CRASHES = 2;

export function handlerPlace(isBuiltIn: boolean, crashes: number): HandlerPlace {
  if (crashes > MAX_CRASHES || (crashes === MAX_CRASHES && !isBuiltIn)) return 'own host';
  return isBuiltIn && crashes < MAX_CRASHES ? 'engine' : 'shared host';
}

/**
 * A crash is counted for a step whose handler ran in the dead process itself. A handler in a separate process did not
 * cause that death: its attempt is only lost.
 */
export function takeoverEvent(slot: number, claim: Claim, place: HandlerPlace): Event {
  return { type: place === 'engine' ? 'rescue' : 'displace', slot, claim };
}
