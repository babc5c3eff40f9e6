/**
 * Attempts whose end the row of their step does not tell: those that failed, were lost or were given back. An attempt that
 * completes its step, or is cancelled with it, is told by the row alone, and costs nothing more.
 */
import type { StepError } from '../event.ts';
import type { EndedOutcome, Plan } from '../plan.ts';
import type { StepState } from '../view.ts';

/** Takes note of the end of a step's attempt. Called before the step's state loses its number and its owner. */
export function noteAttempt(
  plan: Plan,
  state: StepState,
  outcome: EndedOutcome,
  error: StepError | null = null,
): void {
  const { attempt, owner } = state;
  plan.attempts ??= [];
  plan.attempts.push({ state, attempt, owner, outcome, error });
}

export function outcomeOfFailure({ code }: StepError): EndedOutcome {
  return code === 'timeout' ? 'timed_out' : 'failed';
}
