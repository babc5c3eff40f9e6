/**
 * Loads views under their locks and lets the core decide them again: missed changes are made, and claims that
 * this engine holds without knowing are given back.
 */
import type { ViewKey } from '../core/view.ts';
import type { Delivery } from './actor.ts';
import type { Actors } from './actors.ts';
import type { LockedCommit } from './locked-commit.ts';
import { takeUnit } from './unit.ts';

/** Returns the views that changed. */
export async function reconsider(
  actors: Actors,
  locked: LockedCommit,
  keys: ReadonlySet<ViewKey>,
): Promise<Set<ViewKey>> {
  const applied = new Set<ViewKey>();
  await Promise.all(
    [...keys].map(async (key) => {
      const actor = actors.get(key);
      // Another commit of it is in progress.
      if (actor.busy) return;
      // An end whose outputs take time is committed after this commit.
      const delivery = await new Promise<Delivery>((settle) => {
        locked.commit([takeUnit(actor, [{ event: { type: 'reconsider' }, settle }])]);
      });
      if (delivery === 'applied') applied.add(key);
    }),
  );
  return applied;
}
