/**
 * Loads executions under their locks and lets the core decide them again: missed changes are made, and claims that
 * this engine holds without knowing are given back.
 */
import type { Delivery } from './actor.ts';
import type { Actors } from './actors.ts';
import type { LockedCommit } from './locked-commit.ts';
import { takeUnit } from './unit.ts';

/** Returns the executions that changed. */
export async function reconsider(
  actors: Actors,
  locked: LockedCommit,
  executionIds: ReadonlySet<string>,
): Promise<Set<string>> {
  const applied = new Set<string>();
  await Promise.all(
    [...executionIds].map(async (id) => {
      const actor = actors.get(id);
      // Another commit of it is in progress.
      if (actor.busy) return;
      // An end whose outputs take time is committed after this commit.
      const delivery = await new Promise<Delivery>((settle) => {
        locked.commit([takeUnit(actor, [{ event: { type: 'reconsider' }, settle }])]);
      });
      if (delivery === 'applied') applied.add(id);
    }),
  );
  return applied;
}
