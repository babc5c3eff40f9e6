/**
 * Takes jobs from the queues: executions to begin, ready steps that no slot was free for, timers that are due.
 *
 * Jobs are fetched, held against the rows, and consumed in one transaction with what they bring about. A job
 * whose step is final or claimed is dropped; one whose step is still queued when the slots are gone is put back.
 *
 * Invariant: what has become stale is dropped also while its execution has a commit on its way. That commit may
 * be to insert a job of the same id, and would wait for this one for ever.
 */

import { findPosition } from '../core/view.ts';
import type { Tx } from '../db/client.ts';
import { lineUp, pickPending } from '../db/pending-execution.ts';
import { lockExecutions, readManyInputs } from '../db/workflow-execution.ts';
import { readStepPhases } from '../db/workflow-step-execution.ts';
import type { ExecutionEngineQueue, FetchedJob, Job } from '../queue/execution-engine-queue.ts';
import type { Actor } from '../services/actor.ts';
import { newUnit, TIMER_PRIORITY, type Unit } from '../services/commit-unit.ts';
import type { ExecutionDoor } from '../services/execution-door.ts';
import type { LockedCommit } from '../services/locked-commit.ts';
import { JsonPayload } from '../services/payload.ts';
import type { CallbackSender } from './callback-sender.ts';
import { again, groupWork, isAwaited, mailOf, stepStatus, type Work } from './consumer-work.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { LimitGate } from './limit-gate.ts';

export interface ConsumerOptions {
  readonly door: ExecutionDoor;
  readonly locked: LockedCommit;
  readonly queue: ExecutionEngineQueue;
  readonly dispatcher: Dispatcher;
  readonly gate: LimitGate;
  readonly callbacks: CallbackSender;
  onError(error: unknown): void;
}

const MOST_JOBS = 500;
/** When the ticket of a step that takes its turn in this process is looked at again. */
const OFFERED_TICKET_MS = 1_000;

export class Consumer {
  readonly #options: ConsumerOptions;
  #running: Promise<void> | null = null;
  #again = false;
  /** The workspace that was served last: the turn goes on after it. */
  #servedLast: string | null = null;
  #open = true;
  /** Queues that were found empty stay so until somebody says otherwise. */
  #mayHaveJobs = true;

  constructor(options: ConsumerOptions) {
    this.#options = options;
  }

  /** Looks for jobs, and for executions that may begin, until there are none or no slot is free. */
  wake(): void {
    this.#mayHaveJobs = true;
    this.wakeForPending();
  }

  /** Looks for executions that may begin; for jobs only as far as there may be any. */
  wakeForPending(): void {
    if (!this.#open) return;
    this.#again = true;
    this.#running ??= this.#drain().finally(() => {
      this.#running = null;
    });
  }

  async close(): Promise<void> {
    this.#open = false;
    await this.#running;
  }

  async #drain(): Promise<void> {
    try {
      while (this.#again && this.#open) {
        this.#again = false;
        while (this.#open && (await this.runOnce()) > 0);
      }
    } catch (error) {
      this.#options.onError(error);
    }
  }

  /** One transaction; answers how much it took. */
  async runOnce(): Promise<number> {
    const { locked } = this.#options;
    let units: Unit[] = [];
    let taken = 0;
    let leased: FetchedJob[] = [];
    try {
      await locked.run(async (tx) => {
        const fetched = await this.#fetch(tx);
        const called = this.#options.callbacks.lease(fetched.filter(({ data }) => data.kind === 'callback'));
        leased = called.leased;
        const work: Work = { fetched, byExecution: groupWork(fetched), back: called.back, busy: [] };
        units = this.#units(work);
        await lockInOrder(tx, units, fetched);
        const picked = await this.#pick(tx, fetched.length);
        taken = fetched.length + picked.length;
        if (taken === 0) return [];
        units.push(...this.#unitsOf(picked, work));
        await this.#leaveAlone(tx, work);
        return this.#process(tx, units, work);
      });
    } catch (error) {
      for (const unit of units) this.#options.door.abandon({ ...unit, plan: null });
      this.#mayHaveJobs = true;
      throw error;
    }
    this.#options.callbacks.send(leased);
    return taken;
  }

  /** Timers whatever else there is, and ready steps as far as there are slots. */
  async #fetch(tx: Tx): Promise<FetchedJob[]> {
    if (!this.#mayHaveJobs) return [];
    // First: what is said while they are fetched counts.
    this.#mayHaveJobs = false;
    const { queue, dispatcher } = this.#options;
    const wanted = Math.min(dispatcher.spare, MOST_JOBS);
    const timers = await queue.fetch(tx, 'WorkflowExecutionQueue', MOST_JOBS, TIMER_PRIORITY);
    const merges = wanted === 0 ? [] : await queue.fetch(tx, 'MergeExecutionQueue', wanted);
    const left = wanted - merges.length;
    const steps = left === 0 ? [] : await queue.fetch(tx, 'StepExecutionQueue', left);
    if (timers.length === MOST_JOBS || wanted === 0 || steps.length === left) this.#mayHaveJobs = true;
    return [...timers, ...merges, ...steps];
  }

  /** Executions that may begin: ready steps go before them. */
  async #pick(tx: Tx, fetchedCount: number): Promise<string[]> {
    const { dispatcher } = this.#options;
    const room = Math.min(dispatcher.room - fetchedCount, MOST_JOBS);
    if (room <= 0) return this.#pickUnserved(tx);
    const picked = await pickPending(tx, room, this.#servedLast);
    this.#servedLast = picked.at(-1)?.workspace ?? null;
    dispatcher.backlog = picked.length === room;
    return picked.map(({ id }) => id);
  }

  /** However long the line is, the next slots are for all workspaces in turn: each gets a place in it. */
  async #pickUnserved(tx: Tx): Promise<string[]> {
    const { dispatcher } = this.#options;
    const room = Math.min(dispatcher.unservedRoom, MOST_JOBS);
    if (room === 0) return [];
    const picked = await pickPending(tx, room, this.#servedLast, dispatcher.servedWorkspaces);
    return picked.map(({ id }) => id);
  }

  /** Executions with a commit on its way are left alone: their jobs go back. */
  #units({ byExecution, busy }: Work): Unit[] {
    const units: Unit[] = [];
    for (const [id, tasks] of byExecution) {
      const actor = this.#options.door.actors.get(id);
      if (actor.busy) {
        for (const { job } of tasks) if (job !== null) busy.push({ actor, job });
        continue;
      }
      actor.busy = true;
      units.push(newUnit(actor, []));
    }
    return units;
  }

  #unitsOf(picked: readonly string[], { byExecution }: Work): Unit[] {
    const units: Unit[] = [];
    for (const id of picked) {
      const actor = this.#options.door.actors.get(id);
      const isNew = !byExecution.has(id);
      byExecution.set(id, [{ kind: 'start', job: null }, ...(byExecution.get(id) ?? [])]);
      if (!isNew || actor.busy) continue;
      actor.busy = true;
      units.push(newUnit(actor, []));
    }
    return units;
  }

  /** Puts back what is still awaited, by the rows as they are committed. */
  async #leaveAlone(tx: Tx, { busy, back }: Work): Promise<void> {
    const phases = await readStepPhases(
      tx,
      busy.flatMap(({ job: { data } }) => ('step_id' in data ? [data.step_id] : [])),
    );
    for (const { actor, job } of busy) {
      const phase = 'step_id' in job.data ? phases.get(job.data.step_id) : undefined;
      if (phase === undefined || isAwaited(job, phase)) back.push(this.#putBack(actor, job));
    }
  }

  async #process(tx: Tx, units: readonly Unit[], work: Work): Promise<Unit[]> {
    const { byExecution } = work;
    const { door, locked } = this.#options;
    const present = await locked.load(tx, units);
    await this.#readInputs(tx, present);
    const ready = present.map((unit) => ({
      ...unit,
      mails: [...unit.mails, ...byExecution.get(unit.actor.id)!.flatMap((task) => mailOf(unit, task))],
    }));
    const decided = door.decide(ready, true);
    try {
      await this.#dispose(tx, ready, work);
    } catch (error) {
      // The plans are void, and so are the claims in them.
      for (const unit of decided) door.abandon(unit, true);
      throw error;
    }
    return decided;
  }

  /** Consumes the jobs, and puts those back whose step is still to be run. */
  async #dispose(tx: Tx, units: readonly Unit[], { fetched, byExecution, back }: Work): Promise<void> {
    const { queue } = this.#options;
    await queue.consume(tx, fetched);
    for (const unit of units) {
      for (const { job } of byExecution.get(unit.actor.id)!) {
        const status = job === null ? undefined : stepStatus(unit, job);
        if (status === 'queued') back.push(this.#putBack(unit.actor, job!));
        if (status === 'waiting_inputs') await queue.defer(tx, job!, job!.id);
      }
    }
    for (const statement of await queue.insertStatements(back)) await tx.query(statement);
  }

  /** A ticket is due again at once, unless its step takes its turn here already or asks for its start from here. */
  #putBack({ version, view }: Actor, job: FetchedJob): Job {
    const isOffered = job.data.kind === 'step' && this.#options.dispatcher.isOffered(job.data.step_id);
    if (isOffered) return { ...again(job), startAfter: OFFERED_TICKET_MS };
    if (job.data.kind !== 'step' || view === null || !version!.hasLimits) return again(job);
    const position = findPosition(view, job.data.step_id);
    if (position === null || version!.steps[position]!.limits === null) return again(job);
    return { ...again(job), startAfter: this.#options.gate.ticketDelayMs() };
  }

  /** Inputs are held against the schema when an execution is picked up: a main server may have written them. */
  async #readInputs(tx: Tx, units: readonly Unit[]): Promise<void> {
    const pending = units.filter(({ actor }) => actor.view!.status === 'pending');
    if (pending.length === 0) return;
    const inputs = await readManyInputs(
      tx,
      pending.map(({ actor }) => actor.id),
    );
    for (const { actor } of pending) actor.inputs = new JsonPayload(inputs.get(actor.id) ?? '{}');
  }
}

/**
 * Executions are locked in one order by everybody. Those that are picked afterwards are not waited for.
 * Those that were put off and are due line up with the others.
 */
async function lockInOrder(tx: Tx, units: readonly Unit[], fetched: readonly FetchedJob[]): Promise<void> {
  const due = fetched.filter(({ data }) => data.kind === 'start').map(({ id }) => id);
  const ids = [...units.map(({ actor }) => actor.id), ...due];
  if (ids.length > 0) await lockExecutions(tx, ids);
  if (due.length > 0) await lineUp(tx, due);
}
