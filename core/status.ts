/**
 * The statuses of executions and steps, and which of them are final.
 *
 * Execution: pending -> running <-> paused -> completed | failed | cancelled | timed_out, the last three of them by way of
 * compensating where something is to be undone.
 * Step: waiting_inputs -> queued -> running <-> waiting | retrying -> completed | failed | skipped | cancelled.
 *
 * Invariant 1: a final status never changes, except by an explicit retry or fork.
 */
export const EXECUTION_STATUSES = [
  'pending',
  'running',
  'paused',
  'compensating',
  'completed',
  'failed',
  'cancelled',
  'timed_out',
] as const;
export type ExecutionStatus = (typeof EXECUTION_STATUSES)[number];

export const STEP_STATUSES = [
  'waiting_inputs',
  'queued',
  'running',
  'waiting',
  'retrying',
  'completed',
  'failed',
  'skipped',
  'cancelled',
] as const;
export type StepStatus = (typeof STEP_STATUSES)[number];

const FINAL_EXECUTION: ReadonlySet<string> = new Set(['completed', 'failed', 'cancelled', 'timed_out']);
const FINAL_STEP: ReadonlySet<string> = new Set(['completed', 'failed', 'skipped', 'cancelled']);

export function isFinalExecution(status: ExecutionStatus): boolean {
  return FINAL_EXECUTION.has(status);
}

export function isFinalStep(status: StepStatus): boolean {
  return FINAL_STEP.has(status);
}
