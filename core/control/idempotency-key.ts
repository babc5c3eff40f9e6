/**
 * The key by which the receivers of a step's calls know them again: the same for all attempts, and a new one when the step runs
 * again after it had completed.
 */

/** @param keyNumber how often the step was reset after it had completed */
export function idempotencyKey(stepId: string, keyNumber: number): string {
  return keyNumber === 0 ? stepId : `${stepId}-${keyNumber + 1}`;
}
