/**
 * What is wrong with losers of races in a view, in words that go on after the name of the step. Part of core/invariants.ts.
 */
import { windsDown } from '../compensation/compensation.ts';
import { isResumed } from '../control/resumed.ts';
import { isFinalExecution, isFinalStep } from '../status.ts';
import type { ExecutionView, StepState } from '../view.ts';

/** A step is cancelled with its execution, or as a loser: all that it leads to is over, or a join that fired without it. */
export function faultsOfLoser(view: ExecutionView, { slot, status, lost }: StepState): string[] {
  if (!lost) {
    const goesOn = !isFinalExecution(view.status) && !windsDown(view, slot) && !isResumed(view);
    return status === 'cancelled' && goesOn ? ['is cancelled, and its execution goes on'] : [];
  }
  const faults = status === 'cancelled' ? [] : [`has lost, and is ${status}`];
  for (const { to } of view.graph.outgoing[slot]!) {
    const target = view.steps[to]?.status ?? 'waiting_inputs';
    const step = view.graph.steps[to]!;
    const hasFired = step.cancelsLosers && target !== 'waiting_inputs';
    if (!isFinalStep(target) && !hasFired) faults.push(`has lost, although ${step.key} waits for it`);
  }
  return faults;
}
