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
import { lineUp } from '../db/pending-execution.ts';
import { runAgain } from '../db/run-again.ts';
import { lockExecutions, lockSoon, readManyInputs } from '../db/workflow-execution.ts';
import { readStepPhases } from '../db/workflow-step-execution.ts';
import type { ExecutionEngineQueue, FetchedJob, Job } from '../queue/execution-engine-queue.ts';
import type { Actor } from '../services/actor.ts';
import { newUnit, type Unit } from '../services/commit-unit.ts';
import type { ExecutionDoor } from '../services/execution-door.ts';
import type { LockedCommit } from '../services/locked-commit.ts';
import { JsonPayload } from '../services/payload.ts';
import type { CallbackSender } from './callback-sender.ts';
import {
  again,
  dueStarts,
  groupWork,
  isAwaited,
  isCallback,
  isOfExecution,
  mailOf,
  stepStatus,
  type Taken,
  type Work,
} from './consumer-work.ts';
import type { Dispatcher } from './dispatcher.ts';
import { JobSource } from './job-source.ts';
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

/** When the ticket of a step that takes its turn in this process is looked at again. */
const OFFERED_TICKET_MS = 1_000;
/** When a job is looked at again whose execution somebody else had locked for longer than a commit takes. */
const LOCKED_JOB_MS = 200;
/** A commit of this process that is on its way takes no longer. */
const LOOK_AGAIN_MS = 50;

export class Consumer {
  readonly #options: ConsumerOptions;
  readonly #source: JobSource;
  #running: Promise<void> | null = null;
  #again = false;
  #open = true;
  #looking: ReturnType<typeof setTimeout> | null = null;
  #looks = 0;

  constructor(options: ConsumerOptions) {
    this.#options = options;
    this.#source = new JobSource(options.queue, options.dispatcher);
  }

  /** Looks for jobs, and for executions that may begin, until there are none or no slot is free. */
  wake(): void {
    this.#source.mayHaveJobs = true;
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
    if (this.#looking !== null) clearTimeout(this.#looking);
    await this.#running;
  }

  async #drain(): Promise<void> {
    try {
      while (this.#again && this.#open) {
        this.#again = false;
        while (this.#open && (await runAgain(() => this.runOnce())) > 0);
      }
    } catch (error) {
      this.#options.onError(error);
    }
  }

  /** Looks that came to their end, whatever they found. */
  get looks(): number {
    return this.#looks;
  }

  /** One transaction; answers how much it took. */
  async runOnce(): Promise<number> {
    const { locked, queue, callbacks } = this.#options;
    // Filled as they are marked busy: whatever fails, they must not stay so.
    const units: Unit[] = [];
    let taken: Taken | null = null;
    try {
      await locked.run(async (tx) => {
        taken = await (queue.locksFetched ? this.#take(tx, units) : this.#takeUnlocked(tx, units));
        if (taken.count === 0 && units.length === 0) return [];
        return this.#process(tx, units, taken.work);
      });
    } catch (error) {
      for (const unit of units) this.#options.door.abandon({ ...unit, plan: null });
      this.#source.mayHaveJobs = true;
      throw error;
    }
    this.#looks += 1;
    const { count, leased } = taken!;
    callbacks.send(leased);
    return count;
  }

  async #take(tx: Tx, units: Unit[]): Promise<Taken> {
    const fetched = await this.#source.fetch(tx);
    const { leased, back } = this.#options.callbacks.lease(fetched.filter(isCallback));
    const work: Work = { fetched, byExecution: groupWork(fetched), back, busy: [] };
    units.push(...this.#units(work));
    await this.#lockFree(tx, units, work);
    const picked = await this.#source.pick(tx, fetched.length);
    const count = fetched.length + picked.length;
    units.push(...this.#unitsOf(picked, work));
    if (count > 0) await this.#leaveAlone(tx, work);
    return { work, leased, count };
  }

  /**
   * Locks the executions of the jobs, and lines up those that were put off and are due. What somebody else has locked,
   * who may be frozen, is put back and holds up nothing.
   */
  async #lockFree(tx: Tx, units: Unit[], { fetched, byExecution, back, busy }: Work): Promise<void> {
    const due = dueStarts(fetched);
    const ids = [...units.map(({ actor }) => actor.id), ...due];
    if (ids.length === 0) return;
    const locked = await lockSoon(tx, ids);
    if (locked.size > 0) this.#lookAgain(LOCKED_JOB_MS);
    for (const unit of units.filter(({ actor }) => locked.has(actor.id))) {
      const { actor } = unit;
      units.splice(units.indexOf(unit), 1);
      this.#options.door.actors.free(actor);
      for (const { job } of byExecution.get(actor.id)!) busy.push({ actor, job: job!, isLocked: true });
      byExecution.delete(actor.id);
    }
    await lineUp(
      tx,
      due.filter((id) => !locked.has(id)),
    );
    const late = fetched.filter((job) => job.data.kind === 'start' && locked.has(job.id));
    back.push(...late.map((job) => ({ ...again(job), startAfter: LOCKED_JOB_MS })));
  }

  /**
   * Portable: nothing is locked but executions, all of them in order. Jobs are only looked at until then, and count
   * when they are still there. Those of executions with a commit on its way stay where they are.
   */
  async #takeUnlocked(tx: Tx, units: Unit[]): Promise<Taken> {
    const { queue, callbacks, door } = this.#options;
    const seen = await this.#source.fetch(tx);
    const picked = await this.#source.pick(tx, seen.length);
    const free = seen.filter((job) => !isOfExecution(job) || !door.actors.get(job.data.execution_id).busy);
    if (free.length < seen.length) this.#lookAgain(LOOK_AGAIN_MS);
    const byExecution = groupWork(free);
    const work: Work = { fetched: free, byExecution, back: [], busy: [] };
    units.push(...this.#units(work), ...this.#unitsOf(picked, work));
    const others = free.filter((job) => !isOfExecution(job)).map(({ data }) => data.execution_id);
    const ids = [...units.map(({ actor }) => actor.id), ...others];
    if (ids.length > 0) await lockExecutions(tx, ids);
    const fetched = await queue.stillThere(tx, free);
    for (const [id, tasks] of byExecution) {
      const left = tasks.filter(({ job }) => job === null || fetched.includes(job));
      byExecution.set(id, left);
    }
    await lineUp(tx, dueStarts(fetched));
    const { leased, back } = callbacks.lease(fetched.filter(isCallback));
    return { work: { ...work, fetched, back }, leased, count: fetched.length + units.length };
  }

  #lookAgain(afterMs: number): void {
    this.#source.mayHaveJobs = true;
    this.#looking ??= setTimeout(() => {
      this.#looking = null;
      this.wake();
    }, afterMs);
  }

  /** Executions with a commit of this process on its way are left alone: their jobs go back. */
  #units({ byExecution, busy }: Work): Unit[] {
    const units: Unit[] = [];
    for (const [id, tasks] of byExecution) {
      const actor = this.#options.door.actors.get(id);
      if (actor.busy) {
        for (const { job } of tasks) if (job !== null) busy.push({ actor, job, isLocked: false });
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
    for (const { actor, job, isLocked } of busy) {
      const phase = 'step_id' in job.data ? phases.get(job.data.step_id) : undefined;
      if (phase === undefined || isAwaited(job, phase))
        back.push(isLocked ? { ...again(job), startAfter: LOCKED_JOB_MS } : this.#putBack(actor, job));
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
