/**
 * A drain: claim nothing more, let running steps finish within the grace time, give the rest back.
 *
 * A step that is given back is queued again with its ticket, and neither an attempt nor a retry is used.
 */
import type { Event } from '../core/event.ts';
import type { Dispatcher } from './dispatcher.ts';

export interface DrainOptions {
  readonly door: { deliver(executionId: string, event: Event): Promise<unknown> };
  readonly dispatcher: Dispatcher;
  readonly graceMs: number;
}

export async function drain({ door, dispatcher, graceMs }: DrainOptions): Promise<void> {
  dispatcher.closeForClaims();
  await dispatcher.idleWithin(graceMs);
  const left = [...dispatcher.attempts()];
  const releases = left.map(({ executionId, slot, claim }) =>
    door.deliver(executionId, { type: 'release', slot, claim }).catch(() => {}),
  );
  for (const attempt of left) attempt.drop();
  await Promise.all(releases);
}
