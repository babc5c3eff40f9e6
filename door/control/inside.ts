/**
 * Plans of scopes that go along with an event of their execution: a retry opens them again in the commit in which their holders
 * go on.
 */
import { isOver } from '../../core/ending.ts';
import type { Plan } from '../../core/plan.ts';
import { viewKey } from '../../core/view.ts';
import type { DecidedUnit } from '../unit.ts';

const NONE: readonly Plan[] = Object.freeze([]);

/** Returns the plans that the commit of the unit writes too, the outer scopes first. */
export function insideOf({ mails, plan }: DecidedUnit): readonly Plan[] {
  if (plan.repair === null) return NONE;
  return mails.flatMap(({ event, inside }) =>
    inside === undefined || plan.late.includes(event) ? [] : inside,
  );
}

/** Returns the keys of the scopes whose steps are all over: somebody has to look, and end them. */
export function overInside(unit: DecidedUnit): string[] {
  return insideOf(unit)
    .filter(({ view }) => isOver(view))
    .map(({ view }) => viewKey(view.id, view.scope));
}
