/**
 * The end of a child execution, as its parent is told: a row in the inbox of the view that the waiting step is in. A parent
 * that has ended the step and waits for its children before it compensates is told at its top level.
 */
import { childFailure, tooLargeOutputs } from '../../core/children/child-failure.ts';
import { executionOf } from '../../core/view.ts';
import type { ChildEndRow, ChildOverRow } from '../../db/children/end.ts';
import { newId } from '../../db/uuid.ts';
import type { DecidedUnit } from '../unit.ts';

/** Returns whether a step waits for the end that the unit brings. */
export function endsChild({ plan, loaded }: DecidedUnit): boolean {
  return plan.end !== null && loaded.facts.parent !== null;
}

/** Returns the row; null: no step waits for the end of the execution. @param maxBytes largest output of a step */
export function childEndOf({ plan, loaded, outputs }: DecidedUnit, maxBytes: number): ChildEndRow | null {
  const { parent } = loaded.facts;
  if (plan.end === null || parent === null || parent.isCompensating) return null;
  const child = plan.view.id;
  const bytes = outputs === null ? 0 : Buffer.byteLength(outputs);
  const failure = bytes > maxBytes ? tooLargeOutputs(child, bytes, maxBytes) : childFailure(child, plan.end);
  const { view: key, stepId, attempt } = parent;
  return { id: newId(), key, stepId, event: { child, attempt, failure } };
}

/** Returns the row for a parent that waits for its children before it compensates; null: it does not. */
export function childOverOf({ plan, loaded }: DecidedUnit): ChildOverRow | null {
  const { parent } = loaded.facts;
  if (plan.end === null || parent === null || !parent.isCompensating) return null;
  return { id: newId(), key: executionOf(parent.view), event: { over: plan.view.id } };
}
