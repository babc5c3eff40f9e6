/**
 * What jobs and picked executions ask for, and what the rows say of it: the consumer's reading of its mail.
 */
import type { StepStatus } from '../core/status.ts';
import { findPosition } from '../core/view.ts';
import type { StepPhase } from '../db/workflow-step-execution.ts';
import type { FetchedJob, Job } from '../queue/execution-engine-queue.ts';
import type { Actor, Mail } from '../services/actor.ts';
import type { Unit } from '../services/commit-unit.ts';

/** What one job, or one picked execution, asks for. */
export type Task =
  | { readonly kind: 'start'; readonly job: null }
  | { readonly kind: 'job'; readonly job: FetchedJob };

export interface Work {
  readonly fetched: readonly FetchedJob[];
  readonly byExecution: Map<string, readonly Task[]>;
  /** Jobs that go back into their queue in the same transaction. */
  readonly back: Job[];
  /** Jobs of executions with a commit on its way: of this process, or of somebody else who has them locked. */
  readonly busy: { readonly actor: Actor; readonly job: FetchedJob; readonly isLocked: boolean }[];
}

/** What one round of the consumer has. */
export interface Taken {
  readonly work: Work;
  /** Callbacks that are made when the round is committed. */
  readonly leased: FetchedJob[];
  readonly count: number;
}

export function isCallback({ data }: FetchedJob): boolean {
  return data.kind === 'callback';
}

/** Whether a job is an event for its execution. */
export function isOfExecution({ data }: FetchedJob): boolean {
  return data.kind !== 'start' && data.kind !== 'callback';
}

/** Executions that were put off and may line up now. */
export function dueStarts(fetched: readonly FetchedJob[]): string[] {
  return fetched.filter(({ data }) => data.kind === 'start').map(({ id }) => id);
}

export function groupWork(fetched: readonly FetchedJob[]): Map<string, readonly Task[]> {
  const work = new Map<string, readonly Task[]>();
  for (const job of fetched) {
    if (!isOfExecution(job)) continue;
    const { execution_id } = job.data;
    work.set(execution_id, [...(work.get(execution_id) ?? []), { kind: 'job', job }]);
  }
  return work;
}

export function mailOf({ actor }: Unit, { job }: Task): Mail[] {
  if (job === null) return [{ event: begin(actor), settle: null }];
  const { data } = job;
  switch (data.kind) {
    case 'deadline':
      return [{ event: { type: 'time_out' }, settle: null }];
    case 'stop_overdue':
      return [{ event: { type: 'stop_overdue' }, settle: null }];
    case 'timer': {
      const position = findPosition(actor.view!, data.step_id);
      if (position === null) return [];
      const { attempt, purpose } = data;
      const sequence = setBy(data) ?? actor.view!.steps[position]!.sequence;
      const random = Math.random();
      return [{ event: { type: 'wake', position, attempt, sequence, purpose, random }, settle: null }];
    }
    case 'start':
    case 'callback':
    case 'step':
      return [];
  }
}

function begin(actor: Unit['actor']): Mail['event'] {
  const problems = actor.version!.validateInputs?.(actor.inputs?.value ?? {}) ?? [];
  if (problems.length === 0) return { type: 'begin' };
  const [first] = problems;
  return { type: 'reject', code: 'invalid_inputs', message: `inputs${first!.pointer}: ${first!.message}` };
}

/** Of the step a ticket is for; undefined for any other job. */
export function stepStatus({ actor }: Unit, { data }: FetchedJob): StepStatus | undefined {
  if (data.kind !== 'step') return undefined;
  const position = findPosition(actor.view!, data.step_id);
  return position === null ? undefined : actor.view!.steps[position]!.status;
}

/** Whether the step, as it is committed, still waits for the job. */
export function isAwaited({ data }: FetchedJob, { status, attempt, sequence }: StepPhase): boolean {
  if (data.kind === 'step') return status === 'queued' || status === 'waiting_inputs';
  if (data.kind !== 'timer') return true;
  const waits = status === 'waiting' || status === 'retrying';
  return waits && data.attempt === attempt && (setBy(data) ?? sequence) === sequence;
}

/** The transition that set a timer. Engines of an earlier version did not say: their timers go by the attempt alone. */
function setBy({ sequence }: { readonly sequence?: number }): number | undefined {
  return sequence;
}

export function again({ queue, id, data, priority }: FetchedJob): Job {
  return { queue, id, data, priority, startAfter: null };
}
