/**
 * Takes jobs from the queues: executions to begin, ready steps that found no free slot, due timers.
 *
 * Jobs are fetched, compared with the rows, and consumed in one transaction with their effects. A job
 * whose step is final or claimed is dropped; one whose step is still queued when no place is left is put back.
 *
 * Invariant: stale jobs are dropped even during a commit of their execution. That commit may
 * insert a job of the same id, and would wait for this one for ever.
 */

import { type Job, viewOfJob } from '../../core/jobs.ts';
import type { Tx } from '../../db/connection/client.ts';
import { runAgain } from '../../db/connection/run-again.ts';
import { mayBeOfOne } from '../../db/connection/session.ts';
import { lineUp } from '../../db/pending-execution.ts';
import { lockSoon, lockViews } from '../../db/scopes/lock-views.ts';
import { readStepPhases } from '../../db/workflow-step-execution.ts';
import type { CommitSubscriber } from '../../door/commit-subscriber.ts';
import type { Committer } from '../../door/committer.ts';
import { type LockedCommit, type LockedDecision, NOTHING } from '../../door/locked-commit.ts';
import { HOLDER_MS, sendsMail } from '../../door/scopes/outgoing.ts';
import type { DecidedUnit, LoadedUnit, Unit } from '../../door/unit.ts';
import { noUnloadable, type Unloadable } from '../../door/unloadable.ts';
import type { ExecutionEngineQueue } from '../../queue/execution-engine-queue.ts';
import type { InputChecker } from '../../template/input-checker.ts';
import { UNREADABLE_MS } from '../../template/unreadable.ts';
import type { TemplateVersions } from '../../template/versions.ts';
import type { Backlog } from '../backlog.ts';
import type { CallbackSender } from '../callbacks/sender.ts';
import type { Dispatcher } from '../dispatcher.ts';
import { type Culprit, JobSource } from './job-source.ts';
import { findLeases } from './leases.ts';
import { LookTimer } from './look-timer.ts';
import { LOCKED_JOB_MS, LOOK_AGAIN_MS, later, type PutBack } from './put-back.ts';
import {
  dueStarts,
  groupWork,
  isAwaited,
  isCallback,
  isOfExecution,
  markPicked,
  markUnits,
  namedExecutions,
  namesOf,
  readInputs,
  stepStatus,
  strangeJobs,
  type Taken,
  unreadableJobs,
  type Work,
  withMails,
} from './round.ts';
import { foldSignals, type SignalParts } from './signals.ts';

export interface ConsumerOptions {
  readonly committer: Committer;
  readonly locked: LockedCommit;
  readonly queue: ExecutionEngineQueue;
  readonly dispatcher: Dispatcher;
  readonly backlog: Pick<Backlog, 'seen'>;
  readonly putBack: PutBack;
  readonly callbacks: CallbackSender;
  readonly versions: TemplateVersions;
  readonly inputs: InputChecker;
  readonly signals: SignalParts;
  /** A job or a pending execution that cannot be processed; it is tried again after half a minute. */
  onSetAside(what: Readonly<Record<string, unknown>>, error: unknown): void;
  onError(error: unknown): void;
}

/** Pause after a failed look: there may be no other signal that there is work. */
const AFTER_FAILURE_MS = 500;
const MAX_CULPRITS = 5;

export class Consumer implements CommitSubscriber {
  readonly #options: ConsumerOptions;
  readonly #source: JobSource;
  #running: Promise<void> | null = null;
  #again = false;
  #open = true;
  readonly #looking = new LookTimer(() => this.wake());
  #looks = 0;

  constructor(options: ConsumerOptions) {
    this.#options = options;
    this.#source = new JobSource(options);
  }

  /**
   * A step that waits for a signal has a job, and so have the end of an execution with a callback, events for views elsewhere,
   * scopes that are to be undone, and forks that are over.
   */
  committed(units: readonly DecidedUnit[]): void {
    const hasJob = (unit: DecidedUnit) =>
      sendsMail(unit) ||
      unit.plan.awaitsSignal ||
      unit.plan.looksAgain ||
      (unit.plan.end !== null && unit.loaded.facts.callbackUrl !== null);
    if (units.some(hasJob)) this.wake();
    // The engine that holds their view may be gone.
    if (units.some(({ outbox }) => outbox !== null)) this.#lookAgain(HOLDER_MS);
  }

  /** Looks for jobs, and for executions that may begin, until there are none or no capacity is free. */
  wake(): void {
    this.#source.mayHaveJobs = true;
    this.wakeForPending();
  }

  /** Looks for executions that may begin, and for jobs if there may be any. */
  wakeForPending(): void {
    if (!this.#open) return;
    this.#again = true;
    this.#running ??= this.#drain().finally(() => {
      this.#running = null;
    });
  }

  async close(): Promise<void> {
    this.#open = false;
    this.#looking.close();
    await this.#running;
  }

  async #drain(): Promise<void> {
    try {
      while (this.#again && this.#open) {
        this.#again = false;
        while (this.#open && (await this.#look()) > 0);
      }
    } catch (error) {
      this.#options.onError(error);
      this.#lookAgain(AFTER_FAILURE_MS);
    }
  }

  /** Returns how much it took. A failure caused by a taken job or execution is followed by smaller looks. */
  async #look(): Promise<number> {
    const source = this.#source;
    try {
      const count = await runAgain(() => this.runOnce());
      source.widen();
      return count;
    } catch (error) {
      const culprit = mayBeOfOne(error) ? source.narrow() : undefined;
      if (culprit === undefined) throw error;
      if (culprit !== null) await this.#setAside(culprit, error);
      // That many in a row are not to blame themselves.
      if (source.culprits > MAX_CULPRITS) throw error;
      return 1;
    }
  }

  /** Delays a job that always fails, so that others proceed. */
  async #setAside({ job, executionId }: Culprit, error: unknown): Promise<void> {
    const { locked, queue, onSetAside } = this.#options;
    onSetAside(job === null ? { execution: executionId } : namesOf(job), error);
    if (job === null) return;
    await locked.run(async (tx) => {
      await queue.replace(tx, job, later(job, UNREADABLE_MS));
      return NOTHING;
    });
  }

  /** Number of completed looks, whatever they found. */
  get looks(): number {
    return this.#looks;
  }

  /** Runs one transaction; returns how much it took. */
  async runOnce(): Promise<number> {
    const { locked, queue, callbacks } = this.#options;
    // Filled while units are marked busy, so that they are released after any failure.
    const units: Unit[] = [];
    this.#source.begin();
    const unloadable = noUnloadable(false);
    let taken: Taken | null = null;
    try {
      await locked.run(async (tx) => {
        taken = await (queue.locksFetched ? this.#take(tx, units) : this.#takeUnlocked(tx, units));
        if (taken.count === 0 && units.length === 0) return NOTHING;
        return this.#process(tx, units, taken.work, unloadable);
      });
    } catch (error) {
      for (const unit of units) this.#options.committer.release(unit);
      this.#source.mayHaveJobs = true;
      throw error;
    }
    this.#settle(unloadable);
    this.#looks += 1;
    const { count, leased } = taken!;
    callbacks.send(leased);
    return count;
  }

  async #take(tx: Tx, units: Unit[]): Promise<Taken> {
    const fetched = await this.#source.fetch(tx);
    const { leased, back } = this.#options.callbacks.lease(fetched.filter(isCallback));
    const work: Work = { fetched, byExecution: groupWork(fetched), back, busy: [] };
    units.push(...markUnits(work, this.#options.committer.actors, this.#options.putBack));
    if (work.busy.length > 0) this.#lookAgain(LOOK_AGAIN_MS);
    await this.#lockFree(tx, units, work);
    const picked = await this.#source.pick(tx, fetched.length);
    const count = fetched.length + picked.length;
    units.push(...markPicked(picked, work, this.#options.committer.actors));
    if (count > 0) await this.#leaveAlone(tx, work.busy, back);
    return { work, leased, count };
  }

  /**
   * Locks the executions of the jobs, and makes delayed executions pending that are due. Jobs of executions locked
   * elsewhere, whose lock holder may be frozen, are put back without waiting.
   */
  async #lockFree(tx: Tx, units: Unit[], { fetched, byExecution, back, busy }: Work): Promise<void> {
    const due = dueStarts(fetched);
    const keys = [...units.map(({ actor }) => actor.key), ...due];
    if (keys.length === 0) return;
    const locked = await lockSoon(tx, keys);
    if (locked.size > 0) this.#lookAgain(LOCKED_JOB_MS);
    for (const unit of units.filter(({ actor }) => locked.has(actor.key))) {
      const { actor } = unit;
      units.splice(units.indexOf(unit), 1);
      this.#options.committer.actors.free(actor);
      for (const { job } of byExecution.get(actor.key)!) busy.push({ actor, job: job!, because: 'locked' });
      byExecution.delete(actor.key);
    }
    await lineUp(
      tx,
      due.filter((id) => !locked.has(id)),
    );
    const late = fetched.filter((job) => job.data.kind === 'start' && locked.has(job.id));
    back.push(...late.map((job) => later(job, LOCKED_JOB_MS)));
  }

  /**
   * Portable: only executions are locked, in order. Jobs are only read until then, and count
   * when they are still there. Jobs of executions with a commit in flight stay where they are.
   */
  async #takeUnlocked(tx: Tx, units: Unit[]): Promise<Taken> {
    const { queue, callbacks, committer } = this.#options;
    const { actors } = committer;
    const seen = await this.#source.fetch(tx);
    const picked = await this.#source.pick(tx, seen.length);
    const free = seen.filter((job) => !isOfExecution(job) || !actors.get(viewOfJob(job.data)).busy);
    if (free.length < seen.length) this.#lookAgain(LOOK_AGAIN_MS);
    const byExecution = groupWork(free);
    const work: Work = { fetched: free, byExecution, back: [], busy: [] };
    units.push(...markUnits(work, actors, null), ...markPicked(picked, work, actors));
    await lockViews(tx, [...units.map(({ actor }) => actor.key), ...namedExecutions(free)]);
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
    if (!this.#open) return;
    this.#source.mayHaveJobs = true;
    this.#looking.in(afterMs);
  }

  /** Puts back the jobs that are still awaited, according to the committed rows. */
  async #leaveAlone(tx: Tx, busy: Work['busy'], back: Job[]): Promise<void> {
    const stepIds = busy.flatMap(({ job: { data } }) => ('step_id' in data ? [data.step_id] : []));
    const phases = await readStepPhases(tx, stepIds);
    for (const each of busy) {
      const { job } = each;
      const phase = 'step_id' in job.data ? phases.get(job.data.step_id) : undefined;
      if (phase === undefined || isAwaited(job, phase)) back.push(this.#options.putBack.left(each));
    }
  }

  async #process(tx: Tx, units: Unit[], work: Work, unloadable: Unloadable): Promise<LockedDecision> {
    const { byExecution, back } = work;
    const { committer, locked } = this.#options;
    const present = await locked.load(tx, units, unloadable);
    await this.#leaveAlone(tx, unreadableJobs(unloadable, byExecution), back);
    const inputs = await readInputs(tx, present, this.#options.inputs);
    if (inputs.areLeft) this.#options.backlog.seen(true);
    const skipsLocked = this.#options.queue.locksFetched;
    const round = { committer, locked, skipsLocked, units, byExecution };
    const signals = await foldSignals(tx, present, round, this.#options.signals);
    if (signals.unfinished.size > 0) this.#lookAgain(LOOK_AGAIN_MS);
    const leases = await findLeases(tx, present, byExecution);
    const again = { unfinished: signals.unfinished, renewed: leases.renewed };
    const ready = withMails([...present, ...signals.scopes], byExecution, inputs, [
      signals.mails,
      leases.mails,
    ]);
    const decision = committer.decide(ready, { onlyThese: true, locked: 'together' });
    try {
      await this.#dispose(tx, ready, decision, work, again);
    } catch (error) {
      // The plans and their claims are void.
      committer.abandonAll(decision.units);
      throw error;
    }
    return decision;
  }

  /** Settles units of executions that do not exist, or that this engine cannot read: their events had no effect. */
  #settle({ missing, unreadable }: Unloadable): void {
    const { committer } = this.#options;
    for (const unit of missing) committer.settleAll(unit, 'missing');
    for (const { unit } of unreadable) {
      this.#source.putOff(unit.actor.executionId);
      committer.settleAll(unit, 'late');
    }
  }

  /** Consumes the jobs, and puts back those whose step must still run, or whose execution is not decided yet. */
  async #dispose(
    tx: Tx,
    units: readonly LoadedUnit[],
    { units: written, alone }: LockedDecision,
    work: Work,
    { unfinished, renewed }: { unfinished: ReadonlySet<string>; renewed: ReadonlyMap<string, number> },
  ): Promise<void> {
    const decided = new Set(written.map(({ actor }) => actor));
    const isAlone = new Set(alone.map(({ actor }) => actor));
    if (alone.length > 0) this.#lookAgain(LOOK_AGAIN_MS);
    const { queue, putBack } = this.#options;
    const { fetched, byExecution, back } = work;
    await queue.consume(tx, fetched);
    for (const unit of units) {
      for (const { job } of byExecution.get(unit.actor.key)!) {
        if (job === null) continue;
        const status = decided.has(unit.actor) ? stepStatus(unit, job) : 'undecided';
        if (isAlone.has(unit.actor)) back.push(later(job, LOOK_AGAIN_MS));
        else if (status === 'undecided') back.push(putBack.undecided(unit.actor, job));
        else if (job.data.kind === 'signals' && unfinished.has(unit.actor.key))
          back.push(later(job, LOOK_AGAIN_MS));
        else if (renewed.has(job.id)) back.push(later(job, renewed.get(job.id)!));
        // A paused execution needs no tickets: it gets them anew when it goes on.
        if (unit.loaded.view.status === 'paused') continue;
        if (status === 'queued') back.push(putBack.awaited(unit.actor, job));
        if (status === 'waiting_inputs') await queue.defer(tx, job, job.id);
      }
    }
    back.push(...strangeJobs(fetched));
    for (const statement of await queue.insertStatements(back)) await tx.query(statement);
  }
}
