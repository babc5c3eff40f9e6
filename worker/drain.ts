/**
 * A drain: claim nothing more, let running steps finish within the grace time, give the rest back.
 *
 * A step that is given back is queued again with its ticket, and neither an attempt nor a retry is used. A step that an
 * unreachable database does not let go is rescued by peers: no wait here is without an end.
 */
import type { Event } from '../core/event.ts';
import type { ViewKey } from '../core/view.ts';
import { within } from '../process/within.ts';
import type { Dispatcher } from './dispatcher.ts';

export interface DrainOptions {
  readonly door: { deliver(key: ViewKey, event: Event): Promise<unknown> };
  readonly dispatcher: Dispatcher;
  readonly graceMs: number;
}

/** Commits of a drain get the grace time, and at least this. */
const LEAST_COMMIT_MS = 5_000;

/** Returns for how long a drain waits for its own transactions. */
export function commitMs(graceMs: number): number {
  return Math.max(LEAST_COMMIT_MS, graceMs);
}

export async function drain({ door, dispatcher, graceMs }: DrainOptions): Promise<void> {
  dispatcher.closeForClaims();
  await dispatcher.idleWithin(graceMs);
  const left = [...dispatcher.attempts()];
  const releases = left.map(({ view, slot, claim }) =>
    door.deliver(view, { type: 'release', slot, claim }).catch(() => {}),
  );
  for (const attempt of left) attempt.drop();
  await within(commitMs(graceMs), Promise.all(releases));
}
