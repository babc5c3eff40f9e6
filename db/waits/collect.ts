/**
 * The part of plans that concerns waits for the outside, as rows to write.
 */
import type { Plan, StepChange } from '../../core/plan.ts';
import type { RenewedWait } from './answered-steps.ts';
import type { OpenedForm } from './form.ts';
import type { ChangedTask, NewTask } from './tasks.ts';

export interface TaskRows {
  newTasks: NewTask[];
  tasks: ChangedTask[];
  /** Steps whose task does not wait any more. */
  tasksOver: string[];
  /** Claimed steps and tasks that have limits. */
  granted: string[];
}

export function renewedWait({ view }: Plan, { state, waitingFor, answerId }: StepChange): RenewedWait {
  const { id, attempt } = state;
  return {
    id,
    attempt,
    waitingFor: JSON.stringify(waitingFor),
    sequence: view.sequence,
    answerId: answerId!,
  };
}

export function openedForm({ state, waitingFor }: StepChange): OpenedForm {
  const { reminder } = waitingFor as unknown as { reminder?: { after_ms: number } | null };
  return { id: state.id, remindMs: reminder?.after_ms ?? null };
}

/** Returns whether nothing else of the step changes. */
export function collectTask(
  { view }: Plan,
  { state, task, waitingFor, parkedState }: StepChange,
  from: NonNullable<StepChange['from']>,
  rows: TaskRows,
): boolean {
  const { id: stepId, slot, attempt, status } = state;
  if (status !== 'waiting') {
    if (from.status === 'waiting') rows.tasksOver.push(stepId);
    return false;
  }
  if (task === null) {
    const { lease_ms: leaseMs } = parkedState as { lease_ms: number };
    const { limit } = view.graph.steps[slot]!.concurrency ?? { limit: null };
    rows.newTasks.push({ stepId, executionId: view.id, queue: String(waitingFor!.queue), leaseMs, limit });
    return false;
  }
  const { queue, claim, losses } = task;
  const { sequence } = view;
  rows.tasks.push({ stepId, fromAttempt: from.attempt, attempt, sequence, queue, claim, losses });
  if (claim?.isLimited) rows.granted.push(stepId);
  return true;
}
