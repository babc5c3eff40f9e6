/**
 * The effects of a plan, as they are told to whoever asks before it is made.
 */
import { isCompensation } from '../compensation/compensation.ts';
import type { Plan } from '../plan.ts';
import type { ExecutionView, StepState } from '../view.ts';
import type { DryRun, DryRunWarning } from './dry-run.ts';
import { pathOf } from './refusal.ts';

/** @param plans of views of one execution, which are thrown away */
export function dryRunOf(plans: readonly Plan[], warnings: readonly DryRunWarning[] = []): DryRun {
  const told = (of: (plan: Plan) => readonly StepState[]) =>
    plans.flatMap((plan) => of(plan).map(({ slot }) => pathOf(plan.view, slot)));
  return {
    dry_run: true,
    resets: told(resets),
    starts: told(starts),
    cancels: told((plan) => becomes(plan, 'cancelled')),
    skips: told((plan) => becomes(plan, 'skipped')),
    warnings: [...warnings],
  };
}

function resets(plan: Plan): StepState[] {
  return changed(plan)
    .filter(({ control }) => control?.isReset === true && control.byHand === null)
    .map(({ state }) => state);
}

function starts({ view, ready }: Plan): StepState[] {
  return [...new Set(ready)]
    .map((slot) => view.steps[slot]!)
    .filter(({ status }) => status === 'queued' || status === 'running');
}

function becomes(plan: Plan, status: 'cancelled' | 'skipped'): StepState[] {
  return changed(plan)
    .filter(
      ({ state, from, control }) => state.status === status && (control !== null || from?.status !== status),
    )
    .map(({ state }) => state);
}

/** In definition order; compensations are not told of. */
function changed({ steps, view }: Plan) {
  return [...steps.values()]
    .filter(({ state }) => !isCompensation(view.graph, state.slot))
    .sort((a, b) => a.state.slot - b.state.slot);
}

/** Returns what a retry has left as it was, and what comes of it. */
export function warningsOf(view: ExecutionView): DryRunWarning[] {
  return view.steps.flatMap((state): DryRunWarning | [] => {
    if (state === undefined || isCompensation(view.graph, state.slot)) return [];
    const { slot, status, lost } = state;
    const step = pathOf(view, slot);
    if (status === 'failed' && !view.graph.handlesFailure[slot]) {
      const message = `${step} stays failed: the execution will run what is left, and then fail. Name it in outputs or skip to prevent that.`;
      return { code: 'failure_left', message, step };
    }
    if (status !== 'cancelled' || lost) return [];
    return { code: 'cancelled_left', message: `${step} stays cancelled, and does not run.`, step };
  });
}
