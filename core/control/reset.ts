/**
 * Resets a step that is over: its row stays, and it can run again. The edges that lead away from it are open again.
 */
import { isCompensation } from '../compensation/compensation.ts';
import { type Plan, repairOf, type StepChange } from '../plan.ts';
import { touch } from '../settlement.ts';
import { isFinalStep } from '../status.ts';
import { EDGE_LIVE, EDGE_OPEN, type ExecutionView, type StepState } from '../view.ts';

/** Resets the step to one that waits for its inputs. Its scopes are left to the caller. */
export function resetStep(view: ExecutionView, plan: Plan, state: StepState): StepChange {
  const change = touch(plan, state);
  change.control = { isReset: true, byHand: null };
  if (isFinalStep(state.status) && !isCompensation(view.graph, state.slot)) view.settledCount -= 1;
  if (state.status === 'completed') state.keyNumber += 1;
  state.status = 'waiting_inputs';
  state.owner = null;
  state.parked = false;
  state.hasDeadline = false;
  state.hasTimer = false;
  state.retries = 0;
  state.crashes = 0;
  state.routes = null;
  state.lost = false;
  state.byHand = false;
  state.resets += 1;
  openEdges(view, plan, state);
  removeCompensation(view, plan, state);
  return change;
}

function openEdges(view: ExecutionView, plan: Plan, producer: StepState): void {
  for (const edge of view.graph.outgoing[producer.slot]!) {
    const was = view.edges[edge.id];
    if (was === EDGE_OPEN) continue;
    const target = view.steps[edge.to]!;
    view.edges[edge.id] = EDGE_OPEN;
    target.resolved -= 1;
    if (was === EDGE_LIVE) target.live -= 1;
    repairOf(plan).reopened.push({ target, producer });
  }
}

/** What the step will have done can be undone anew. */
function removeCompensation(view: ExecutionView, plan: Plan, { slot }: StepState): void {
  const place = view.graph.compensated.indexOf(slot);
  if (place < 0) return;
  const compensation = view.steps[view.graph.size + place];
  if (compensation === undefined) return;
  view.steps[view.graph.size + place] = undefined;
  repairOf(plan).removed.push(compensation.id);
}
