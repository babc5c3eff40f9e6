/**
 * One execution's share of a commit: what is to be decided, what was decided, and what is written for it.
 */
import type { Event } from '../core/event.ts';
import { type Plan, plannedJobs, type StepChange } from '../core/plan.ts';
import { transition } from '../core/transition.ts';
import { emptyView } from '../core/view.ts';
import type { PlanToWrite } from '../db/apply-plan.ts';
import { newId } from '../db/uuid.ts';
import type { ExecutionInsert } from '../db/workflow-execution.ts';
import { finishOutputs, type Outputs } from '../payload/execution-output.ts';
import type { Job } from '../queue/execution-engine-queue.ts';
import type { TemplateVersion } from '../template/version.ts';
import type { Actor, Mail } from './actor.ts';

/** An execution that this commit inserts. */
export interface NewExecution {
  readonly row: Omit<ExecutionInsert, 'status' | 'sequence'>;
  readonly version: TemplateVersion;
}

export interface Unit {
  readonly actor: Actor;
  readonly mails: readonly Mail[];
  readonly start: NewExecution | null;
  plan: Plan | null;
  /** Outputs of an execution that the plan completes, as JSON text. */
  outputs: string | null;
  /** Outputs that took time, and of which sequence's end they are: when it is decided again, they are there. */
  finished: (Pick<Plan, 'fromSequence' | 'end'> & Pick<Unit, 'outputs'>) | null;
}

/**
 * Characters of outputs that one commit takes of steps, and as many of executions; it takes several times as much to
 * send them.
 */
export const MAX_OUTPUT = 16 * 1024 * 1024;

export function newUnit(actor: Actor, mails: readonly Mail[], start: NewExecution | null = null): Unit {
  return { actor, mails, start, plan: null, outputs: null, finished: null };
}

/** Timers and deadlines go before starts: a full engine still has to keep its promises about time. */
export const TIMER_PRIORITY = 1_000_000_000;

/**
 * Decides a unit. Returns a promise when the execution ends with outputs that take time (a sandboxed
 * expression, payloads to be read); the unit may be written when it has resolved.
 */
export function decideUnit(unit: Unit, begins: boolean, outputs: Outputs): Promise<void> | null {
  const { actor, start } = unit;
  if (start !== null) actor.view = emptyView(actor.id, start.version.graph);
  const events: Event[] = unit.mails.map(({ event }) => event);
  if (start !== null && begins) events.unshift({ type: 'begin' });
  const plan = transition(actor.view!, events, newId);
  unit.plan = plan;
  if (plan.end?.status !== 'completed') return null;
  const { finished: before } = unit;
  if (before?.fromSequence === plan.fromSequence) {
    unit.outputs = before.outputs;
    plan.end = before.end!;
    plan.view.status = plan.end.status;
    return null;
  }
  const finished = finishOutputs(actor, plan, outputs);
  if (!(finished instanceof Promise)) {
    unit.outputs = finished;
    return null;
  }
  return finished.then((json) => {
    unit.outputs = json;
    unit.finished = { fromSequence: plan.fromSequence, end: plan.end, outputs: json };
  });
}

/**
 * Parts what can be written from what has to be decided again under a lock: an event of somebody else's claim that was
 * found late by a view in memory. Others claim without this process, and the view may be of before they did.
 */
export function byDoubt(units: readonly Unit[], self: string): [sure: Unit[], doubtful: Unit[]] {
  const isDoubtful = ({ plan }: Unit) =>
    plan!.late.some((event) => 'claim' in event && event.claim.owner !== self);
  return [units.filter((unit) => !isDoubtful(unit)), units.filter(isDoubtful)];
}

/** What the store writes for the units that changed something. */
export function writes(units: readonly Unit[]): PlanToWrite[] {
  return units
    .filter(({ plan, start }) => plan!.changed && (start === null || plan!.begun))
    .map(({ plan, outputs, actor, start }) => ({
      plan: plan!,
      stepTemplateIds: actor.version!.stepTemplateIds,
      outputs,
      isNew: start !== null,
    }));
}

export function inserts(units: readonly Unit[]): ExecutionInsert[] {
  const rows: ExecutionInsert[] = [];
  for (const { start, plan } of units) {
    if (start === null) continue;
    const begun = plan!.begun;
    rows.push({ ...start.row, status: begun ? 'running' : 'pending', sequence: begun ? 1 : 0 });
  }
  return rows;
}

type JobKey = Pick<Job, 'queue' | 'id'>;

/** Jobs that appear and disappear in the same transaction as the units' plans. */
export function jobs(units: readonly Unit[], stopGraceMs: number): { add: Job[]; remove: JobKey[] } {
  const add: Job[] = [];
  const remove: JobKey[] = [];
  for (const unit of units) {
    const plan = unit.plan!;
    const changed = plannedJobs(plan);
    for (const { queue, change } of changed.remove) remove.push({ queue, id: change.state.id });
    for (const { queue, change } of changed.add) add.push(stepJob(unit, queue, change));
    executionJobs(unit, plan, stopGraceMs, add, remove);
  }
  return { add, remove };
}

/** Whether the unit starts an execution that lines up: it begins when its turn comes, here or elsewhere. */
export function linesUp({ start, plan }: Unit): boolean {
  return start !== null && start.row.startAfter === null && !plan!.begun;
}

interface StepJobOwner {
  readonly actor: Pick<Actor, 'id' | 'version'>;
}

interface StepJobCause {
  readonly state: Pick<StepChange['state'], 'id' | 'position' | 'attempt' | 'sequence'>;
  readonly timer: StepChange['timer'];
}

/** This process asks for a start itself: others look after a step with limits when it did not come to that. */
const LIMITED_TICKET_MS = 1_000;

/** The job of a step that is ready or parked, as the row of the step calls for it. */
export function stepJob({ actor }: StepJobOwner, queue: Job['queue'], { state, timer }: StepJobCause): Job {
  const ids = { execution_id: actor.id, step_id: state.id };
  if (timer === null) {
    const priority = -actor.version!.graph.rank[state.position]!;
    const startAfter = actor.version!.steps[state.position]!.limits === null ? null : LIMITED_TICKET_MS;
    return { queue, id: state.id, data: { kind: 'step', ...ids }, priority, startAfter };
  }
  const { attempt, sequence } = state;
  const data = { kind: 'timer' as const, ...ids, attempt, sequence, purpose: timer.purpose };
  return { queue, id: state.id, data, priority: TIMER_PRIORITY, startAfter: timer.afterMs };
}

function executionJobs(
  { actor, start }: Unit,
  plan: Plan,
  stopGraceMs: number,
  add: Job[],
  remove: JobKey[],
): void {
  const queue = 'WorkflowExecutionQueue' as const;
  const execution_id = actor.id;
  const priority = TIMER_PRIORITY;
  const { timeoutMs } = actor.version!.template;
  const startAfter = start?.row.startAfter ?? null;
  if (startAfter !== null) {
    add.push({ queue, id: execution_id, data: { kind: 'start', execution_id }, priority, startAfter });
  }
  if (start === null && plan.fromStatus === 'pending' && plan.end !== null)
    remove.push({ queue, id: execution_id });
  if (timeoutMs !== null && plan.begun && plan.end === null) {
    const id = deadlineJobId(execution_id);
    add.push({ queue, id, data: { kind: 'deadline', execution_id }, priority, startAfter: timeoutMs });
  }
  if (timeoutMs !== null && plan.end !== null) remove.push({ queue, id: deadlineJobId(execution_id) });
  if (plan.stopping && plan.end === null) {
    const id = stopJobId(execution_id);
    add.push({ queue, id, data: { kind: 'stop_overdue', execution_id }, priority, startAfter: stopGraceMs });
  }
  if (plan.end !== null && plan.view.stopRequested !== null)
    remove.push({ queue, id: stopJobId(execution_id) });
  // An id of its own: an execution that is retried ends again, maybe before this one was told.
  if (plan.end !== null && actor.callbackUrl !== null) {
    const data = { kind: 'callback' as const, execution_id, attempt: 1 };
    add.push({ queue, id: newId(), data, priority, startAfter: null });
  }
}

/** An execution's own timers have ids that follow from its id: UUIDs of version 8 (RFC 9562) where it has 7 or 4. */
export function deadlineJobId(executionId: string): string {
  return derivedId(executionId, 'd');
}

export function stopJobId(executionId: string): string {
  return derivedId(executionId, '5');
}

function derivedId(id: string, mark: string): string {
  return `${id.slice(0, 14)}8${mark}${id.slice(16)}`;
}
