/**
 * The consumer's view of one round: the requests of jobs and picked executions, checked against the rows.
 */

import { isUndoing } from '../../core/compensation/compensation.ts';
import { isOver } from '../../core/ending.ts';
import { mayOpenMore } from '../../core/hold/held-back.ts';
import { type Job, viewOfJob } from '../../core/jobs.ts';
import { EngineError } from '../../core/problem.ts';
import type { StepStatus } from '../../core/status.ts';
import { type ExecutionView, findSlot } from '../../core/view.ts';
import type { Tx } from '../../db/connection/client.ts';
import { readManyInputs } from '../../db/workflow-execution.ts';
import type { StepPhase } from '../../db/workflow-step-execution.ts';
import type { SchemaFault } from '../../definition/schema/checker.ts';
import type { Mail } from '../../door/actor.ts';
import type { Actors } from '../../door/actors.ts';
import { type LoadedUnit, takeUnit, type Unit } from '../../door/unit.ts';
import type { Unloadable } from '../../door/unloadable.ts';
import { JsonPayload } from '../../payload/json-payload.ts';
import { INPUT } from '../../payload/kept-payloads.ts';
import { inSlices } from '../../process/in-slices.ts';
import type { FetchedJob } from '../../queue/execution-engine-queue.ts';
import type { InputChecker } from '../../template/input-checker.ts';
import { UNREADABLE_MS } from '../../template/unreadable.ts';
import { type LeftJob, later, type PutBack } from './put-back.ts';

/** The request of one job, or of one picked execution. */
export type Task =
  | { readonly kind: 'start'; readonly job: null }
  | { readonly kind: 'job'; readonly job: FetchedJob };

type JobOfExecution = FetchedJob & { readonly data: Extract<FetchedJob['data'], { execution_id: string }> };

export interface Work {
  readonly fetched: readonly FetchedJob[];
  readonly byExecution: Map<string, readonly Task[]>;
  /** Jobs to put back into their queue in the same transaction. */
  readonly back: Job[];
  readonly busy: LeftJob[];
}

/** The work of one round of the consumer. */
export interface Taken {
  readonly work: Work;
  /** Callbacks that are called when the round is committed. */
  readonly leased: FetchedJob[];
  readonly count: number;
}

export function isCallback({ data }: FetchedJob): boolean {
  return data.kind === 'callback';
}

/** Returns whether a job is an event for its execution. */
export function isOfExecution(job: FetchedJob): job is JobOfExecution {
  const { kind } = job.data;
  return kind !== 'start' && kind !== 'callback' && kind !== 'unknown';
}

/** Returns what a line of the log names of a job. */
export function namesOf({ queue, id, data }: FetchedJob): Readonly<Record<string, unknown>> {
  const { kind } = data;
  if (data.kind === 'unknown') return { queue, job: id, kind };
  const step = 'step_id' in data ? { step_id: data.step_id } : {};
  return { queue, job: id, kind, execution: data.execution_id, ...step };
}

/** Returns jobs of an unknown form, to be put back. */
export function strangeJobs(fetched: readonly FetchedJob[]): Job[] {
  const strange = fetched.filter(({ data }) => data.kind === 'unknown');
  return strange.map((job) => later(job, UNREADABLE_MS));
}

/** Returns the executions named by jobs that are not events for them. */
export function namedExecutions(fetched: readonly FetchedJob[]): string[] {
  return fetched.flatMap((job) =>
    isOfExecution(job) || job.data.kind === 'unknown' ? [] : job.data.execution_id,
  );
}

/** Returns the delayed executions that are now due. */
export function dueStarts(fetched: readonly FetchedJob[]): string[] {
  return fetched.filter(({ data }) => data.kind === 'start').map(({ id }) => id);
}

export function groupWork(fetched: readonly FetchedJob[]): Map<string, readonly Task[]> {
  const work = new Map<string, readonly Task[]>();
  for (const job of fetched) {
    if (!isOfExecution(job)) continue;
    const key = viewOfJob(job.data);
    work.set(key, [...(work.get(key) ?? []), { kind: 'job', job }]);
  }
  return work;
}

function mailOf({ loaded }: LoadedUnit, { job }: Task, inputs: Inputs): Mail[] {
  if (job === null) {
    const faults = inputs.faults.get(loaded.id);
    // An engine begins only executions that it can run in full; any engine may continue one that has begun.
    if (faults === undefined || loaded.version.hasFaults) return [];
    return [{ event: begin(faults), settle: null }];
  }
  const { data } = job;
  switch (data.kind) {
    case 'deadline':
      return [{ event: { type: 'time_out' }, settle: null }];
    case 'stop_overdue':
      return [{ event: { type: 'stop_overdue' }, settle: null }];
    case 'timer': {
      const slot = findSlot(loaded.view, data.step_id);
      if (slot === null) return [];
      const { attempt, purpose } = data;
      const sequence = setBy(data) ?? loaded.view.steps[slot]!.sequence;
      const random = Math.random();
      return [{ event: { type: 'wake', slot, attempt, sequence, purpose, random }, settle: null }];
    }
    case 'step_deadline': {
      const slot = findSlot(loaded.view, data.step_id);
      if (slot === null) return [];
      const { retries } = data;
      return [{ event: { type: 'step_time_out', slot, retries, random: Math.random() }, settle: null }];
    }
    // Loading the view has read its inbox. What is to be undone, is over, or goes on after a pause has nothing in it.
    case 'inbox': {
      const { view } = loaded;
      const isLooked = isToUndo(view) || isToEnd(view) || isIdle(view);
      return isLooked ? [{ event: { type: 'reconsider' }, settle: null }] : [];
    }
    case 'start':
    case 'signals':
    case 'task_lease':
    case 'callback':
    case 'step':
    case 'unknown':
      return [];
  }
}

/** A scope of a step that may open more. */
function isIdle({ scope, steps }: ExecutionView): boolean {
  return scope !== null && steps.some((state) => state !== undefined && mayOpenMore(state));
}

function isToUndo(view: ExecutionView): boolean {
  return view.scope !== null && view.status === 'compensating' && !isUndoing(view);
}

/** A fork that has reused everything. */
function isToEnd(view: ExecutionView): boolean {
  const isUnderWay = view.status === 'running' || view.status === 'paused';
  return view.scope === null && isUnderWay && isOver(view);
}

/** Returns the units with the events of their tasks. */
export function withMails(
  units: readonly LoadedUnit[],
  byExecution: Work['byExecution'],
  inputs: Inputs,
  found: readonly ReadonlyMap<string, readonly Mail[]>[],
): LoadedUnit[] {
  return units.map((unit) => {
    const { key } = unit.actor;
    const own = byExecution.get(key)!.flatMap((task) => mailOf(unit, task, inputs));
    const others = found.flatMap((mails) => mails.get(key) ?? []);
    return { ...unit, mails: [...unit.mails, ...own, ...others] };
  });
}

function begin([first]: readonly SchemaFault[]): Mail['event'] {
  if (first === undefined) return { type: 'begin' };
  return { type: 'reject', code: 'invalid_inputs', message: `inputs${first.pointer}: ${first.message}` };
}

/** Returns the status of a ticket's step; undefined for any other job. */
export function stepStatus({ loaded: { view } }: LoadedUnit, { data }: FetchedJob): StepStatus | undefined {
  if (data.kind !== 'step') return undefined;
  const slot = findSlot(view, data.step_id);
  return slot === null ? undefined : view.steps[slot]!.status;
}

/** Returns whether the committed step still waits for the job. */
export function isAwaited({ data }: FetchedJob, { status, attempt, sequence }: StepPhase): boolean {
  if (data.kind === 'step') return status === 'queued' || status === 'waiting_inputs';
  if (data.kind !== 'timer') return true;
  const waits = status === 'waiting' || status === 'retrying';
  return waits && data.attempt === attempt && (setBy(data) ?? sequence) === sequence;
}

/**
 * Returns the transition that set a timer. Timers of earlier versions lack it: they are matched by the attempt alone.
 */
function setBy({ sequence }: { readonly sequence?: number }): number | undefined {
  return sequence;
}

interface Inputs {
  /** Faults in the inputs of executions that begin. */
  readonly faults: ReadonlyMap<string, readonly SchemaFault[]>;
  /** True when executions stay pending because their inputs were too large, or could not be checked now. */
  readonly areLeft: boolean;
}

/** Bytes of the inputs with which executions begin in one round. */
const MAX_INPUT = 16 * 1024 * 1024;

/**
 * Checks inputs against the schema when an execution is picked up: a main server may have written them. Executions
 * whose inputs are too large for one round stay pending.
 */
export async function readInputs(
  tx: Tx,
  units: readonly LoadedUnit[],
  checker: InputChecker,
): Promise<Inputs> {
  const pending = units.filter(({ loaded }) => loaded.view.status === 'pending');
  const faults = new Map<string, readonly SchemaFault[]>();
  if (pending.length === 0) return { faults, areLeft: false };
  const ids = pending.map(({ actor }) => actor.executionId);
  const texts = await readManyInputs(tx, ids, MAX_INPUT);
  const checks = await inSlices(checkEach(pending, texts, checker));
  for (const [id, found] of await Promise.all(checks)) if (found !== null) faults.set(id, found);
  return { faults, areLeft: faults.size < pending.length };
}

type Checked = readonly [id: string, faults: readonly SchemaFault[] | null];

/** Returns null for inputs that cannot be checked now. Yields after each execution: together they may take long. */
function* checkEach(
  pending: readonly LoadedUnit[],
  texts: ReadonlyMap<string, string>,
  checker: InputChecker,
): Generator<void, (Checked | Promise<Checked>)[]> {
  const checks: (Checked | Promise<Checked>)[] = [];
  for (const { actor, loaded } of pending) {
    const text = texts.get(actor.executionId);
    if (text === undefined) continue;
    const input = new JsonPayload(text);
    actor.kept.set(INPUT, input);
    const found = checker.check(loaded.version, input);
    const later = async (faults: Promise<readonly SchemaFault[]>): Promise<Checked> => [
      actor.executionId,
      await faults.catch(leave),
    ];
    const check = found instanceof Promise ? later(found) : ([actor.executionId, found] as const);
    // Awaited once all are started.
    if (check instanceof Promise) check.catch(() => undefined);
    checks.push(check);
    yield;
  }
  return checks;
}

/** Returns null for a check that must be repeated later; any other error is rethrown. */
function leave(error: unknown): null {
  if (error instanceof EngineError) return null;
  throw error;
}

/**
 * Marks the executions of the jobs busy. Skips those with a commit of this process in flight and, if `putBack` is given,
 * tickets of steps known to be for others: these need no lock and no load.
 */
export function markUnits(
  { byExecution, busy }: Work,
  actors: Actors,
  putBack: Pick<PutBack, 'isForOthers'> | null,
): Unit[] {
  const units: Unit[] = [];
  for (const [id, tasks] of byExecution) {
    const actor = actors.get(id);
    const isLeft = ({ job }: Task) =>
      job !== null && (actor.busy || putBack?.isForOthers(actor, job) === true);
    for (const { job } of tasks.filter(isLeft)) busy.push({ actor, job: job!, because: 'busy' });
    const left = tasks.filter((task) => !isLeft(task));
    if (left.length < tasks.length) byExecution.set(id, left);
    if (left.length === 0) byExecution.delete(id);
    else units.push(takeUnit(actor, []));
  }
  return units;
}

/** Marks picked executions, and adds their task. */
export function markPicked(picked: readonly string[], { byExecution }: Work, actors: Actors): Unit[] {
  const units: Unit[] = [];
  for (const id of picked) {
    const actor = actors.get(id);
    const isNew = !byExecution.has(id);
    byExecution.set(id, [{ kind: 'start', job: null }, ...(byExecution.get(id) ?? [])]);
    if (isNew && !actor.busy) units.push(takeUnit(actor, []));
  }
  return units;
}

/** Returns the jobs of executions that this engine cannot read. */
export function unreadableJobs({ unreadable }: Unloadable, byExecution: Work['byExecution']): LeftJob[] {
  return unreadable.flatMap(({ unit: { actor } }) =>
    byExecution
      .get(actor.key)!
      .flatMap(({ job }) => (job === null ? [] : { actor, job, because: 'unreadable' as const })),
  );
}
