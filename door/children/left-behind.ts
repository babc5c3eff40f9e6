/**
 * The child executions that a unit leaves behind. They are looked for once its views are locked, and told to end in its
 * commit.
 */
import { howToEnd } from '../../core/children/left-children.ts';
import { readOpenChildren, readOpenChildrenOf } from '../../db/children/end.ts';
import type { Tx } from '../../db/connection/client.ts';
import { type DecidedUnit, leftBy, type ToldChildren } from '../unit.ts';

/**
 * Returns the children to tell; undefined: none.
 * @param endedBelow ids of steps in scopes that the same transaction has ended
 */
export async function childrenToTell(
  tx: Tx,
  unit: DecidedUnit,
  endedBelow: readonly string[],
): Promise<ToldChildren | undefined> {
  const { loaded, plan } = unit;
  if (!loaded.version.waitsForChildren) return undefined;
  const left = leftBy(unit);
  const { id, steps } = plan.view;
  const stepIds = (left?.slots ?? []).map((slot) => steps[slot]!.id);
  const ids = left?.isAll
    ? await readOpenChildren(tx, id)
    : await readOpenChildrenOf(tx, [...stepIds, ...endedBelow]);
  return ids.length === 0 ? undefined : { ids, how: howToEnd(plan) };
}
