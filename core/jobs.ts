/**
 * The jobs that rows need: the jobs a plan adds and removes, and the form of each. The door writes them in the commit
 * of the plan; the doctor writes missing ones.
 *
 * A job says "look at this" and holds ids; state is in the rows.
 *
 * Invariant: a step has at most one ticket or timer in each queue, whose id is the step's, and one deadline. A ticket of
 * signals has an id of its own, and an execution may have many.
 */
import type { TaskClaim } from './event.ts';
import type { Graph } from './graph.ts';
import type { Plan, StepChange, StepTimer } from './plan.ts';
import { type ExecutionView, type ScopeId, type StepState, scopeName, type ViewKey } from './view.ts';

export type QueueName = 'WorkflowExecutionQueue' | 'StepExecutionQueue' | 'MergeExecutionQueue';

/** The view of a job. */
interface OfView {
  execution_id: string;
  /** The name of the scope; left out: the top level. */
  scope?: string;
}

export type JobData =
  | { kind: 'start'; execution_id: string }
  | ({ kind: 'step'; step_id: string } & OfView)
  | ({
      kind: 'timer';
      step_id: string;
      attempt: number;
      sequence: number;
      purpose: 'resume' | 'timeout';
    } & OfView)
  | ({ kind: 'step_deadline'; step_id: string; retries: number } & OfView)
  /** Rows in the inbox wait for the view, or it is over and has not ended. */
  | ({ kind: 'inbox' } & OfView)
  /** The lease of a task's claim. */
  | ({ kind: 'task_lease'; step_id: string; token: string } & OfView)
  /** A signal was sent, or a step waits for one: whoever takes it brings together what is kept and what waits. */
  | { kind: 'signals'; execution_id: string }
  | { kind: 'callback'; execution_id: string; attempt: number }
  | { kind: 'deadline'; execution_id: string }
  | { kind: 'stop_overdue'; execution_id: string }
  /** A job unknown to this version: written by hand, or by a newer one. `stored` is its data. */
  | { kind: 'unknown'; stored: unknown };

export interface Job {
  readonly queue: QueueName;
  /** The execution's or step's id, so a job can be removed by the id of its row. */
  readonly id: string;
  readonly data: JobData;
  readonly priority: number;
  /** Milliseconds from now, an instant (ISO 8601), or null: at once. */
  readonly startAfter: number | string | null;
}

export type JobKey = Pick<Job, 'queue' | 'id'>;

/** Timers and deadlines go before starts: an engine with no free slot still has to keep its deadlines. */
export const TIMER_PRIORITY = 1_000_000_000;
/** An engine starts its own steps with limits directly. Other engines see the ticket after this time, if it did not. */
const LIMITED_TICKET_MS = 1_000;
/** The same for steps that an engine keeps for itself. */
const KEPT_TICKET_MS = 1_000;

/** A step's change of jobs: its ticket or its timer. */
export interface PlannedJob {
  readonly queue: QueueName;
  readonly change: StepChange;
}

/** Facts about an execution that, with its plan, determine its jobs. */
export interface ExecutionFacts {
  /** Set when the plan inserts the execution. */
  readonly start: { readonly startAfter: number | string | null } | null;
  /** True when a callback must be sent at the end. */
  readonly hasCallback: boolean;
  readonly stopGraceMs: number;
  /** Returns whether this engine is about to claim a ready step. */
  isKept(stepId: string): boolean;
}

/** The queue of a ready step's ticket: steps with more than one `needs` entry go through merge-execution. */
export function readyQueue(graph: Graph, slot: number): QueueName {
  return graph.steps[slot]!.needsCount > 1 ? 'MergeExecutionQueue' : 'StepExecutionQueue';
}

/** Jobs that must appear and disappear in the transaction that writes the plan. */
export function jobsOf(
  plan: Plan,
  facts: ExecutionFacts,
  newId: () => string,
): { add: Job[]; remove: JobKey[] } {
  const { graph } = plan.view;
  const view = ofView(plan.view);
  const changed = plannedJobs(plan);
  const add = changed.add.map(({ change: { state, timer } }) => {
    if (timer !== null) return stepTimer(view, state, timer);
    const ticket = stepTicket(view, graph, state);
    return facts.isKept(state.id) ? { ...ticket, startAfter: KEPT_TICKET_MS } : ticket;
  });
  const remove: JobKey[] = changed.remove.map(({ queue, change }) => ({ queue, id: change.state.id }));
  for (const { state, from, deadlineMs, task } of plan.steps.values()) {
    if (task?.claim != null && state.status === 'waiting') add.push(taskLease(view, state.id, task.claim));
    const wasWaiting = from?.status === 'waiting' && state.status !== 'waiting';
    if (wasWaiting && graph.steps[state.slot]!.type === 'task') remove.push(timerKey(leaseJobId(state.id)));
    if (deadlineMs !== null) {
      // A consumer may have put that of an earlier attempt back after it was removed: the id would be taken for ever.
      if (state.attempt > 1) remove.push(timerKey(deadlineJobId(state.id)));
      add.push(stepDeadline(view, state, deadlineMs));
    }
    if (from?.hasDeadline && !state.hasDeadline) remove.push(timerKey(deadlineJobId(state.id)));
  }
  if (plan.looksAgain) add.push(inboxTicket(view, newId()));
  if (plan.awaitsSignal && plan.end === null) add.push(signalsTicket(plan.view.id, newId()));
  if (plan.view.scope === null) executionJobs(plan, facts, newId, add, remove);
  return { add, remove };
}

/** How jobs name a view. */
export function ofView({
  id,
  scope,
}: Pick<ExecutionView, 'id'> & { readonly scope: ScopeId | null }): OfView {
  return scope === null ? { execution_id: id } : { execution_id: id, scope: scopeName(scope) };
}

/** The key of the view that a job is for. */
export function viewOfJob({ execution_id, scope }: OfView): ViewKey {
  return scope === undefined ? execution_id : `${execution_id}/${scope}`;
}

/** A queued step has a ticket, unless its execution is paused; a parked one has a timer. */
export function plannedJobs(plan: Plan): { add: PlannedJob[]; remove: PlannedJob[] } {
  const add: PlannedJob[] = [];
  const remove: PlannedJob[] = [];
  for (const [slot, change] of plan.steps) {
    const before = jobQueue(plan.view, slot, change.from);
    const isHeldBack = plan.view.status === 'paused' && change.state.status === 'queued';
    const after = isHeldBack ? null : jobQueue(plan.view, slot, change.state);
    const sameTicket = before === after && change.timer === null;
    if (sameTicket) continue;
    if (before !== null) remove.push({ queue: before, change });
    if (after !== null) add.push({ queue: after, change });
  }
  return { add, remove };
}

/** The queue in which a step has its ticket or timer; null: it has none. */
function jobQueue(
  { graph }: ExecutionView,
  slot: number,
  step: Pick<StepState, 'status' | 'hasTimer'> | null,
): QueueName | null {
  if (step?.status === 'queued') return readyQueue(graph, slot);
  return step?.hasTimer ? 'WorkflowExecutionQueue' : null;
}

function executionJobs(
  plan: Plan,
  { start, hasCallback, stopGraceMs }: ExecutionFacts,
  newId: () => string,
  add: Job[],
  remove: JobKey[],
): void {
  const { view, end } = plan;
  const { id } = view;
  const { timeoutMs } = view.graph;
  const startAfter = start?.startAfter ?? null;
  if (startAfter !== null) add.push(startJob(id, startAfter));
  if (start === null && plan.fromStatus === 'pending' && end !== null) remove.push(timerKey(id));
  const isTimed = end === null && !plan.compensating;
  // A retry gives the execution its timeout anew.
  const begins = plan.begun || plan.repair !== null;
  if (timeoutMs !== null && begins && isTimed) add.push(deadlineJob(id, timeoutMs));
  if (timeoutMs !== null && !isTimed) remove.push(timerKey(deadlineJobId(id)));
  if (beginsGrace(plan)) add.push(stopJob(id, stopGraceMs));
  const wasGranted = view.stopRequested !== null || plan.fromStatus === 'compensating';
  if (end !== null && wasGranted) remove.push(timerKey(stopJobId(id)));
  // An id of its own: an execution that is retried ends again, maybe before the callback of this end was sent.
  if (end !== null && hasCallback)
    add.push(timerJob(newId(), { kind: 'callback', execution_id: id, attempt: 1 }, null));
}

/** Returns whether running steps have from now on until the end of a grace time. */
function beginsGrace({ view, end, stopping, compensating }: Plan): boolean {
  if (end !== null) return false;
  const isGrace = view.settledCount < view.graph.size || view.steps.some(isHolding);
  // A stop before has set the timer already.
  return stopping || (compensating && view.stopRequested === null && isGrace);
}

function isHolding(state: StepState | undefined): boolean {
  return state !== undefined && state.held !== null && state.held.open > 0;
}

/** The ticket of a ready step. */
export function stepTicket(view: OfView, graph: Graph, { id, slot }: Pick<StepState, 'id' | 'slot'>): Job {
  const { concurrency, rateLimit } = graph.steps[slot]!;
  return {
    queue: readyQueue(graph, slot),
    id,
    data: { kind: 'step', ...view, step_id: id },
    priority: -graph.rank[slot]!,
    startAfter: concurrency === null && rateLimit === null ? null : LIMITED_TICKET_MS,
  };
}

/** The timer of a step that waits, or that waits for its next attempt. */
export function stepTimer(
  view: OfView,
  { id, attempt, sequence }: Pick<StepState, 'id' | 'attempt' | 'sequence'>,
  { purpose, afterMs }: StepTimer,
): Job {
  return timerJob(id, { kind: 'timer', ...view, step_id: id, attempt, sequence, purpose }, afterMs);
}

/** The end of the timeout of a parked attempt. */
export function stepDeadline(
  view: OfView,
  { id, retries }: Pick<StepState, 'id' | 'retries'>,
  afterMs: number,
): Job {
  return timerJob(deadlineJobId(id), { kind: 'step_deadline', ...view, step_id: id, retries }, afterMs);
}

/** All jobs that a step may have. */
export function stepJobKeys(stepId: string): JobKey[] {
  return [
    { queue: 'StepExecutionQueue', id: stepId },
    { queue: 'MergeExecutionQueue', id: stepId },
    timerKey(stepId),
    timerKey(deadlineJobId(stepId)),
  ];
}

/**
 * Tells whoever fetches it to look at a view: rows in its inbox wait, or it is over and has not ended. Never one for several:
 * each has an id of its own.
 * @param afterMs how long the engine that holds the view has the rows for itself; null: nobody has
 */
export function inboxTicket(view: OfView, id: string, afterMs: number | null = null): Job {
  return timerJob(id, { kind: 'inbox', ...view }, afterMs);
}

/** The job that begins a delayed execution. */
export function startJob(executionId: string, startAfter: number | string): Job {
  return timerJob(executionId, { kind: 'start', execution_id: executionId }, startAfter);
}

/** The timer of a claim's lease: it goes with the claim. */
export function taskLease(
  view: OfView,
  stepId: string,
  { token, leaseMs }: Pick<TaskClaim, 'token' | 'leaseMs'>,
): Job {
  return timerJob(leaseJobId(stepId), { kind: 'task_lease', ...view, step_id: stepId, token }, leaseMs);
}

/** @param ticketId new for each ticket: a ticket that is there already may be about to be used */
export function signalsTicket(executionId: string, ticketId: string): Job {
  return timerJob(ticketId, { kind: 'signals', execution_id: executionId }, null);
}

/** The timeout of a running execution. */
export function deadlineJob(executionId: string, afterMs: number): Job {
  return timerJob(deadlineJobId(executionId), { kind: 'deadline', execution_id: executionId }, afterMs);
}

/** The end of a stop's grace time. */
export function stopJob(executionId: string, afterMs: number): Job {
  return timerJob(stopJobId(executionId), { kind: 'stop_overdue', execution_id: executionId }, afterMs);
}

function timerJob(id: string, data: JobData, startAfter: number | string | null): Job {
  return { ...timerKey(id), data, priority: TIMER_PRIORITY, startAfter };
}

function timerKey(id: string): { queue: 'WorkflowExecutionQueue'; id: string } {
  return { queue: 'WorkflowExecutionQueue', id };
}

/**
 * Ids of deadline and stop jobs, derived from the row's id: UUIDs of version 8 (RFC 9562) in place of version 7 or 4.
 */
function deadlineJobId(rowId: string): string {
  return derivedId(rowId, 'd');
}

function leaseJobId(stepId: string): string {
  return derivedId(stepId, 'c');
}

function stopJobId(executionId: string): string {
  return derivedId(executionId, '5');
}

function derivedId(id: string, mark: string): string {
  return `${id.slice(0, 14)}8${mark}${id.slice(16)}`;
}
