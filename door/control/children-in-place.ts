/**
 * Children that a retry of their parent retries in place: those of steps that failed, or were cancelled, with them.
 */
import { brokenSteps } from '../../core/control/broken-steps.ts';
import type { Tx } from '../../db/connection/client.ts';
import { readLatestChildren } from '../../db/control/retried.ts';
import type { Loaded } from '../actor.ts';

const RETRIED: ReadonlySet<string> = new Set(['failed', 'cancelled', 'timed_out']);

/** Returns the children by the slots of the steps that wait for them. The view is locked. */
export async function childrenInPlace(tx: Tx, loaded: Loaded): Promise<Map<number, string>> {
  if (!loaded.version.waitsForChildren) return new Map();
  const { steps } = loaded.view;
  const slots = brokenSteps(loaded.view).filter((slot) => loaded.step(slot).type.waitsFor === 'child');
  const latest = await readLatestChildren(
    tx,
    slots.map((slot) => steps[slot]!.id),
  );
  return new Map(
    slots.flatMap((slot): [number, string][] => {
      const child = latest.get(steps[slot]!.id);
      if (child === undefined || child.attempt !== steps[slot]!.attempt) return [];
      return RETRIED.has(child.status) ? [[slot, child.id]] : [];
    }),
  );
}
