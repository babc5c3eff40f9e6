/**
 * What holds the steps of an execution as a whole, whatever each of them waits for itself.
 */
import type { ExecutionStatus, StepStatus } from '../status.ts';

export interface HeldExecution {
  readonly status: ExecutionStatus;
  readonly isStopping: boolean;
}

/**
 * Returns what holds a step that is not final; null: nothing but its own reason. A stop comes before a pause. What runs is not
 * held back by a pause, and a compensation goes on in an execution that winds down.
 */
export function holdOf(
  { status, isStopping }: HeldExecution,
  step: StepStatus | null,
  isCompensation: boolean,
): 'stop' | 'compensating' | 'paused' | null {
  if (isCompensation) return null;
  if (status === 'compensating') return 'compensating';
  if (isStopping) return 'stop';
  return status === 'paused' && step !== 'running' ? 'paused' : null;
}
