/**
 * Begins a fork: the steps that it reuses are final from the start, and everything else is decided from there as ever.
 *
 * Only transition.ts calls this.
 */
import { isOver } from '../../ending.ts';
import type { Plan } from '../../plan.ts';
import { createState, makeReady, receivedInputs, resolveAll, settle } from '../../settlement.ts';
import type { ExecutionView } from '../../view.ts';
import type { ReusedStep } from './reused-step.ts';

/**
 * A fork in which nothing is left to do ends in a later transition: its output reads what it reuses, which is not in its
 * rows before this one is committed.
 */
export function beginFork(
  view: ExecutionView,
  plan: Plan,
  reused: readonly ReusedStep[],
  newId: () => string,
): boolean {
  if (view.status !== 'pending') return false;
  view.status = 'running';
  plan.begun = true;
  plan.reused = new Map(reused.map((step) => [step.slot, step]));
  const states = reused.map(({ slot, status, routes, source }) => {
    const state = createState(view, plan, slot, newId);
    state.routes = routes;
    state.decidedElsewhere = source === null;
    settle(view, plan, state, status);
    return state;
  });
  for (const slot of view.graph.roots)
    if (view.steps[slot] === undefined) makeReady(plan, createState(view, plan, slot, newId), []);
  resolveAll(view, plan, states, newId);
  for (const { slot } of states) plan.steps.get(slot)!.received = receivedInputs(view, slot);
  plan.looksAgain = isOver(view);
  return true;
}
