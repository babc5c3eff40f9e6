/**
 * Compensations as steps of their own, for what lists steps. Pure.
 */
import type { StepStatusBody } from '../../services/execution-answers.ts';

/** Returns the steps, each followed by the compensation that undoes it, once that has begun. */
export function withCompensations(steps: readonly StepStatusBody[]): StepStatusBody[] {
  return steps.flatMap((step) => {
    const { compensation } = step;
    if (compensation == null) return step;
    const { id, status, attempt_count, error, completed_at } = compensation;
    const times = { started_at: null, completed_at, resume_at: null, waiting_for: null };
    const key = `${step.key} (undo)`;
    return [step, { ...step, ...times, id, key, status, attempt_count, error, compensation: null }];
  });
}
