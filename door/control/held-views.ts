/**
 * The views of scopes in a commit whose decision depends on whether their execution is paused.
 */
import { executionOf } from '../../core/view.ts';
import type { DecidedUnit } from '../unit.ts';

/**
 * Returns the executions, with whether they are paused, for units of scopes that may begin something. A scope that is opened
 * goes with its holder, and the row of an execution is guarded by its sequence.
 */
export function heldBy(units: readonly DecidedUnit[]): { id: string; isPaused: boolean }[] {
  const held = new Map<string, boolean>();
  for (const { plan } of units) {
    const { id, scope, status } = plan.view;
    if (scope === null || !plan.changed || plan.fromSequence === 0 || plan.end !== null) continue;
    if (status === 'running' || status === 'paused') held.set(`${id} ${status}`, status === 'paused');
  }
  return [...held].map(([key, isPaused]) => ({ id: executionOf(key), isPaused }));
}
