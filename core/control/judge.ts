/**
 * Judges a retry before it is made, and makes the plans of scopes that go along with it.
 */
import { emptyPlan, type Plan } from '../plan.ts';
import type { ExecutionView } from '../view.ts';
import type { Act } from './act.ts';
import type { Repair } from './asked-repair.ts';
import type { Refusal } from './refusal.ts';
import { repairView } from './repair.ts';

/** Changes the view. Returns the plan, or why there is none. Its sequence is that of the commit in which the plan is written. */
export function planOfRepair(
  view: ExecutionView,
  repair: Repair,
  act: Act,
  newId: () => string,
): Plan | Refusal {
  const plan = emptyPlan(view);
  const refusal = repairView(view, plan, repair, act, newId);
  if (refusal !== null) return refusal;
  plan.changed = true;
  view.sequence += 1;
  plan.ready.sort((a, b) => view.graph.rank[a]! - view.graph.rank[b]!);
  return plan;
}

export function isRefusal(result: Plan | Refusal): result is Refusal {
  return 'message' in result;
}
