/**
 * Lets a holder that is over wait for some of its scopes again, which are opened as they were.
 *
 * A holder that had failed or was cancelled also runs those of its other scopes anew that failed or were cancelled, as its own
 * retry would. One that had completed keeps them.
 */
import { type Plan, scopeChanges } from '../plan.ts';
import { addScopes } from '../scopes/held-scopes.ts';
import { goOnWithScopes } from '../settlement.ts';
import type { ExecutionView, StepState } from '../view.ts';
import type { HolderRepair } from './asked-repair.ts';

export function reopenHolder(
  view: ExecutionView,
  plan: Plan,
  state: StepState,
  { scopes, unfinished }: HolderRepair,
  hasCompleted: boolean,
): void {
  const before = state.held!;
  for (const { status, bytes } of scopes) {
    before[status] -= 1;
    if (before.list !== undefined && status !== 'cancelled')
      before.list[status] = Math.max(0, before.list[status] - bytes - 1);
  }
  const { tolerated } = before;
  const again = hasCompleted ? [] : unfinished;
  // With several of them there may be more than usual.
  const concurrency = Math.max(before.concurrency, scopes.length);
  const held = addScopes(before, { count: 0, concurrency, tolerated, again });
  held.open = scopes.length;
  held.undoing = null;
  state.held = held;
  scopeChanges(plan).counted.add(state.slot);
  // Of a scope inside another one nobody opens further scopes in this commit: they follow when these have ended.
  if (view.scope === null) goOnWithScopes(plan, state);
  else held.concurrency = scopes.length;
}
