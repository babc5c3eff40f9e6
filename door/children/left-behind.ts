/**
 * The child executions that a unit leaves behind. They are looked for once its views are locked, and told to end in its
 * commit.
 */
import { howToEnd } from '../../core/children/left-children.ts';
import { mayUndo } from '../../core/compensation/compensation.ts';
import { changesHold } from '../../core/hold/held-back.ts';
import type { Plan } from '../../core/plan.ts';
import {
  awaitOpenChildren,
  readOpenChildren,
  readOpenChildrenOf,
  withOpenChildren,
} from '../../db/children/end.ts';
import type { Tx } from '../../db/connection/client.ts';
import { DecidedTooEarly } from '../../db/statement.ts';
import { type DecidedUnit, type LoadedUnit, leftBy, type ToldChildren } from '../unit.ts';

/**
 * Reads whether children are open, for units whose execution waits for them before it undoes something. Each child that is
 * open then tells its end by the inbox.
 * @param mayEnd the units may become compensating; false: they wait only if they are already
 */
export async function readWhetherChildrenAreOpen(
  tx: Tx,
  units: readonly LoadedUnit[],
  mayEnd: boolean,
): Promise<void> {
  const views = units
    .filter(({ loaded: { version, view } }) => version.waitsForChildren && mayUndo(view.graph))
    .map(({ loaded: { view } }) => view)
    .filter(({ scope, status }) => scope === null && (mayEnd || status === 'compensating'));
  const open = await withOpenChildren(
    tx,
    views.map(({ id }) => id),
  );
  for (const view of views) view.hasOpenChildren = open.has(view.id);
}

/**
 * Returns the children to tell; undefined: none.
 * @param endedBelow ids of steps in scopes that the same transaction has ended
 */
export async function childrenToTell(
  tx: Tx,
  unit: DecidedUnit,
  endedBelow: readonly string[],
): Promise<readonly ToldChildren[]> {
  const { loaded, plan } = unit;
  if (!loaded.version.waitsForChildren) return [];
  const left = leftBy(unit);
  const { id, steps } = plan.view;
  if (plan.compensating) return toldToEndFirst(tx, unit);
  const held = await toldToHold(tx, plan);
  const stepIds = (left?.slots ?? []).map((slot) => steps[slot]!.id);
  const ids = left?.isAll
    ? await readOpenChildren(tx, id)
    : await readOpenChildrenOf(tx, [...stepIds, ...endedBelow]);
  return [...held, ...(ids.length === 0 ? [] : [{ ids, event: { end: howToEnd(plan) } }])];
}

/** All children that it waits for are paused with an execution, and go on with it. */
async function toldToHold(tx: Tx, plan: Plan): Promise<readonly ToldChildren[]> {
  if (!changesHold(plan)) return [];
  const { id, status, sequence } = plan.view;
  const ids = await readOpenChildren(tx, id);
  const hold = status === 'paused' ? ('pause' as const) : ('resume' as const);
  return ids.length === 0 ? [] : [{ ids, event: { hold, sequence } }];
}

/** The children of an execution that becomes compensating. One may have begun or ended since it was decided. */
async function toldToEndFirst(tx: Tx, { plan }: DecidedUnit): Promise<readonly ToldChildren[]> {
  const ids = await awaitOpenChildren(tx, plan.view.id);
  if (ids.length > 0 !== plan.view.hasOpenChildren) throw new DecidedTooEarly();
  return ids.length === 0 ? [] : [{ ids, event: { end: 'stop' } }];
}
