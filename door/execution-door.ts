/**
 * The one door for writes: every change of an execution comes in here as an event and goes out as a commit.
 *
 * Group commit: while commits are in flight events gather; the next commit takes them all, for all their
 * executions. There is no timer: an idle engine commits at once, a busy one batches by itself. The commit that
 * makes steps ready claims them for this process as far as it has free slots (the eager frontier).
 *
 * A commit goes the fast way first: it is decided on the views in memory and sent in one piece, guarded by each
 * execution's sequence. When another process was faster, or a view is not in memory, it goes the locked way
 * (locked-commit.ts): lock, load, decide again, write.
 *
 * Invariant 1: of one execution at most one plan is on its way (Actor.busy).
 * Invariant 2: an event is settled exactly once, after the commit that holds it.
 */
import type { Event } from '../core/event.ts';
import type { ExecutionStatus } from '../core/status.ts';
import { planStatements } from '../db/apply-plan.ts';
import type { Moment } from '../db/clock.ts';
import { isContended, type Lane } from '../db/connection/lane.ts';
import { notify } from '../db/notify.ts';
import type { Statement } from '../db/statement.ts';
import { insertExecutions } from '../db/workflow-execution.ts';
import type { Outputs } from '../payload/execution-output.ts';
import { JsonPayload } from '../payload/json-payload.ts';
import { INPUT } from '../payload/kept-payloads.ts';
import type { ExecutionEngineQueue } from '../queue/execution-engine-queue.ts';
import type { Delivery, Mail } from './actor.ts';
import { ActorTable } from './actors.ts';
import { followCommit } from './commit-follow-up.ts';
import { DecidedUnits } from './decided-units.ts';
import type { DoorObserver } from './door-observer.ts';
import { Decider } from './eager-frontier.ts';
import type { LockedCommit } from './locked-commit.ts';
import { newsOf } from './news.ts';
import { refuse } from './refused-outcome.ts';
import type { Claims } from './slots.ts';
import { byDoubt, inserts, jobs, type NewExecution, newUnit, type Unit, writes } from './unit.ts';

export interface DoorOptions {
  readonly lanes: readonly Lane[];
  readonly queue: ExecutionEngineQueue;
  readonly claims: Claims;
  readonly outputs: Outputs;
  readonly observer: DoorObserver;
  readonly stopGraceMs: number;
  /** Whether another engine may be waiting for work or for an execution's end. */
  hasPeers(): boolean;
}

interface StartGroup {
  readonly starts: readonly NewExecution[];
  /** May break on a taken idempotency key, and so goes alone. */
  readonly alone: boolean;
  readonly settle: (error: unknown) => void;
}

/** Thrown to a starter whose idempotency key was taken, or was being taken, by another start at the same moment. */
export class KeyTaken extends Error {}

export class ExecutionDoor {
  readonly #options: DoorOptions;
  readonly actors = new ActorTable();
  readonly #decider: Decider;
  readonly #decided = new DecidedUnits();
  #starts: StartGroup[] = [];
  #locked: LockedCommit | null = null;
  #scheduled = false;
  /** Whether the last commit was of a start that goes alone. */
  #wasAlone = false;
  #closed = false;

  constructor(options: DoorOptions) {
    this.#options = options;
    this.#decider = new Decider({
      actors: this.actors,
      claims: options.claims,
      outputs: options.outputs,
      onReady: (unit) => {
        this.#decided.add(unit);
        this.wake();
      },
      onError: (unit, error) => refuse(this, unit, error),
    });
  }

  /** The locked way needs the door and the door needs it: the composition root joins the two. */
  useLocked(locked: LockedCommit): void {
    this.#locked = locked;
  }

  get options(): DoorOptions {
    return this.#options;
  }

  /** Of an execution that was just started here: what it is by now, as far as this process knows. */
  statusOf(executionId: string): ExecutionStatus {
    return this.actors.find(executionId)?.view?.status ?? 'pending';
  }

  /** Hands in an event; `settle` hears what became of it after the commit. */
  post(executionId: string, event: Event, settle: Mail['settle'] = null): void {
    const actor = this.actors.get(executionId);
    actor.mailbox.push({ event, settle });
    this.actors.mark(actor);
    this.wake();
  }

  /** Hands in an event and waits for its commit. */
  deliver(executionId: string, event: Event): Promise<Delivery> {
    return new Promise((resolve, reject) => {
      this.post(executionId, event, (delivery, error) =>
        error === undefined ? resolve(delivery) : reject(error),
      );
    });
  }

  /** Inserts executions, all or none. @throws KeyTaken */
  start(starts: readonly NewExecution[], keyed: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error: unknown) => (error === undefined ? resolve() : reject(error));
      this.#starts.push({ starts, alone: keyed, settle });
      this.wake();
    });
  }

  /** Commits what is there, in the next turn of the event loop: what ends in this one goes along. */
  wake(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  /** Resolves when everything that was handed in is committed. */
  async settled(): Promise<void> {
    while (!this.actors.isQuiet || this.#starts.length > 0)
      await new Promise((resolve) => setTimeout(resolve, 5));
  }

  /** No commit is made after this; those in flight are waited for by closing the lanes. */
  close(): void {
    this.#closed = true;
  }

  #pump(): void {
    for (const lane of this.#options.lanes) {
      if (lane.busy || this.#closed) continue;
      // In turn: starts that go alone, one by one, must not keep all others from their commits.
      const isBatchsTurn = this.#wasAlone;
      this.#wasAlone = false;
      if (isBatchsTurn && this.#commitBatch(lane)) continue;
      const alone = this.#starts.findIndex((group) => group.alone);
      if (alone >= 0) {
        const [group] = this.#starts.splice(alone, 1);
        this.#commitStarts(lane, group!);
        this.#wasAlone = true;
      } else if (!this.#commitBatch(lane)) return;
    }
  }

  /** A start with an idempotency key: its commit must not take others down with it. */
  #commitStarts(lane: Lane, group: StartGroup): void {
    const units = this.#startUnits(group);
    const decidedAt = performance.now();
    const ready = this.decide(units, true);
    const finish = (error?: unknown) => {
      if (error !== undefined) for (const unit of ready) this.abandon(unit);
      group.settle(isContended(error) ? new KeyTaken() : error);
    };
    this.#write(lane, ready).then(() => {
      this.committed(ready, decidedAt);
      finish();
    }, finish);
  }

  /** Returns whether there was anything to commit. */
  #commitBatch(lane: Lane): boolean {
    const groups = this.#starts.filter(({ alone }) => !alone);
    this.#starts = this.#starts.filter(({ alone }) => alone);
    const units = [...groups.flatMap((group) => this.#startUnits(group)), ...this.actors.collect()];
    const unloaded = units.filter(({ actor, start }) => actor.view === null && start === null);
    const loaded = units.filter(({ actor, start }) => actor.view !== null || start !== null);
    if (unloaded.length > 0) this.#locked!.commit(unloaded);
    const decidedAt = performance.now();
    const decided = [...this.#decided.take(), ...this.decide(loaded)];
    const [ready, doubtful] = byDoubt(decided, this.#options.claims.owner);
    for (const unit of doubtful) this.abandon(unit, true);
    if (doubtful.length > 0) this.#locked!.commit(doubtful);
    const settleStarts = (error?: unknown) => {
      for (const group of groups) group.settle(error);
    };
    if (ready.length === 0) {
      settleStarts();
      return unloaded.length + doubtful.length > 0;
    }
    this.#write(lane, ready).then(
      () => {
        this.committed(ready, decidedAt);
        settleStarts();
      },
      (error) => {
        this.#options.observer.conflict(error);
        for (const unit of ready) this.abandon(unit, true);
        this.#locked!.commit(ready, settleStarts);
      },
    );
    return true;
  }

  #startUnits(group: StartGroup): Unit[] {
    return group.starts.map((start) => {
      const actor = this.actors.get(start.row.id);
      actor.version = start.version;
      actor.workspaceId = start.row.workspaceId;
      actor.priority = start.row.priority;
      actor.callbackUrl = start.row.callbackUrl;
      actor.kept.set(INPUT, new JsonPayload(start.row.inputs));
      actor.busy = true;
      return newUnit(actor, [], start);
    });
  }

  /** Decides units; those that come back can be written, in this commit. See Decider. */
  decide(units: readonly Unit[], onlyThese = false): Unit[] {
    return this.#decider.decide(units, onlyThese);
  }

  async #write(lane: Lane, units: readonly Unit[]): Promise<void> {
    lane.busy = true;
    try {
      const statements = await this.statements(units);
      if (statements.length > 0) await lane.transaction(statements);
    } finally {
      lane.busy = false;
      this.wake();
    }
  }

  /** Everything the units' commit consists of. @param moment of its times, where it waited for a lock */
  async statements(units: readonly Unit[], moment: Moment | null = null): Promise<Statement[]> {
    const { queue, claims, stopGraceMs, hasPeers } = this.#options;
    const rows = inserts(units);
    const at = moment?.at ?? null;
    const { add, remove } = jobs(units, stopGraceMs);
    const statements = rows.length > 0 ? [insertExecutions(rows, at)] : [];
    statements.push(...planStatements(writes(units), at));
    if (remove.length > 0) statements.push(...(await queue.deleteStatements(remove)));
    if (add.length > 0) statements.push(...(await queue.insertStatements(add, moment?.sinceBeginMs)));
    // At most one notification per commit, and only when somebody may be listening.
    const payload = hasPeers() ? newsOf(units, add.length > 0, claims.owner) : null;
    if (payload !== null) statements.push(notify(payload));
    return statements;
  }

  /** What follows from a commit: handlers begin, waiters hear, actors of ended executions go. */
  committed(units: readonly Unit[], decidedAt: number): void {
    this.#options.observer.committed(units, performance.now() - decidedAt);
    for (const unit of units) this.#followUp(unit);
    this.actors.trim();
    this.wake();
  }

  /** What is committed is committed: an error here concerns one execution, which is loaded again. */
  #followUp(unit: Unit): void {
    try {
      followCommit(unit, this.actors, this.#options.claims);
    } catch (error) {
      this.#options.observer.commitFailed(error, false);
      unit.actor.view = null;
      this.actors.mark(unit.actor);
    }
  }

  /** A plan that did not commit: its view is worth nothing and its claims never were. */
  abandon({ actor, plan }: Unit, staysBusy = false): void {
    actor.view = null;
    // What was passed over may have been made by this very plan.
    actor.held.length = 0;
    this.#options.claims.dismiss(actor);
    actor.busy = staysBusy;
    // Loading it again brings back what was ready and whatever else the plan took along.
    if (!staysBusy) this.actors.mark(actor);
    for (const [position, { claimed }] of plan?.steps ?? []) {
      if (claimed) this.#options.claims.refund(actor, position);
    }
  }

  /** An execution that is not there, or that an error keeps from being decided. */
  settleAll({ actor, mails }: Unit, delivery: Delivery, error?: unknown): void {
    this.actors.free(actor);
    this.#options.claims.dismiss(actor);
    this.actors.drop(actor);
    for (const { settle } of mails) settle?.(delivery, error);
    this.wake();
  }
}
