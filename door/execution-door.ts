/**
 * The one door for writes: every change of an execution enters as an event and leaves as a commit.
 *
 * Group commit: events gather while commits are in flight; the next commit takes them all, for all their
 * executions. There is no timer: an idle engine commits at once, a busy one batches automatically. The commit that
 * makes steps ready claims them for this process as far as it has free capacity (the eager frontier).
 *
 * Large payloads have commits of their own, on one lane at a time: the other lanes are left to small commits.
 *
 * A commit takes the fast path first: it is decided on the views in memory and sent in one batch, guarded by each
 * execution's sequence. When another process was faster, or a view is not in memory, it takes the locked path
 * (locked-commit.ts): lock, load, decide again, write.
 */
import type { Event } from '../core/event.ts';
import type { ExecutionStatus } from '../core/status.ts';
import type { ViewKey } from '../core/view.ts';
import { isContended, type Lane } from '../db/connection/lane.ts';
import { isGuardFailed } from '../db/statement.ts';
import { JsonPayload } from '../payload/json-payload.ts';
import { INPUT } from '../payload/kept-payloads.ts';
import type { Delivery, Mail } from './actor.ts';
import type { Actors } from './actors.ts';
import type { Committer } from './committer.ts';
import type { LockedCommit } from './locked-commit.ts';
import { type StartGroup, StartGroups } from './start-groups.ts';
import {
  type DecidedUnit,
  type LoadedUnit,
  migrationOf,
  type NewExecution,
  startUnit,
  type Unit,
} from './unit.ts';

interface Moves {
  commit(unit: Unit): Promise<void>;
}

export interface DoorOptions {
  readonly lanes: readonly Lane[];
  readonly committer: Committer;
  readonly locked: LockedCommit;
  /** Commits units that move their execution to another version. */
  readonly migrations: Moves;
}

/** Thrown to a starter whose idempotency key was taken by another start, now or at the same moment. */
export class KeyTaken extends Error {}

export class ExecutionDoor {
  readonly #lanes: readonly Lane[];
  readonly #committer: Committer;
  readonly #locked: LockedCommit;
  readonly #migrations: Moves;
  readonly #starts = new StartGroups();
  #scheduled = false;
  /** Whether the last commit was of a start that goes alone: among those of large payloads, and among the others. */
  readonly #wasAlone = { large: false, small: false };
  /** Lane whose last commit was of large payloads; null: none. */
  #largeLane: Lane | null = null;
  #closed = false;

  constructor({ lanes, committer, locked, migrations }: DoorOptions) {
    this.#migrations = migrations;
    this.#lanes = lanes;
    this.#committer = committer;
    this.#locked = locked;
  }

  get #actors(): Actors {
    return this.#committer.actors;
  }

  /** Returns the current status of an execution just started here, as far as this process knows. */
  statusOf(executionId: string): ExecutionStatus {
    return this.#actors.find(executionId)?.loaded?.view.status ?? 'pending';
  }

  /** Hands in an event; `settle` is called after the commit. */
  post(key: ViewKey, event: Event, settle: Mail['settle'] = null, inside?: Mail['inside']): void {
    this.#actors.post(key, { event, settle, inside });
    this.wake();
  }

  /** Hands in an event and waits for its commit. @param inside see Mail */
  deliver(key: ViewKey, event: Event, inside?: Mail['inside']): Promise<Delivery> {
    return new Promise((resolve, reject) => {
      const settle: Mail['settle'] = (delivery, error) =>
        error === undefined ? resolve(delivery) : reject(error);
      this.post(key, event, settle, inside);
    });
  }

  /** Inserts executions, all or none. @throws KeyTaken */
  start(starts: readonly NewExecution[], keyed: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error: unknown) => (error === undefined ? resolve() : reject(error));
      this.#starts.add({ starts, alone: keyed, settle });
      this.wake();
    });
  }

  /** Commits pending events in the next turn of the event loop, together with those that arrive in this turn. */
  wake(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  /** Resolves when all events handed in are committed. */
  async settled(): Promise<void> {
    while (!this.#actors.isQuiet || !this.#starts.isEmpty)
      await new Promise((resolve) => setTimeout(resolve, 5));
  }

  /** Makes no further commits; closing the lanes waits for those in flight. */
  close(): void {
    this.#closed = true;
  }

  #pump(): void {
    for (const lane of this.#lanes) {
      if (lane.busy || this.#closed) continue;
      // After a commit of large payloads it is the turn of others.
      const isLargeFirst = lane !== this.#largeLane;
      if (!this.#commitNext(lane, isLargeFirst) && !this.#commitNext(lane, !isLargeFirst)) return;
    }
  }

  /** Returns whether a commit is on its way, of large payloads or of others. */
  #commitNext(lane: Lane, isLarge: boolean): boolean {
    if (isLarge && this.#largeLane?.busy) return false;
    // Takes turns: starts that are committed alone must not block all other commits.
    const kind = isLarge ? 'large' : 'small';
    const isBatchsTurn = this.#wasAlone[kind];
    this.#wasAlone[kind] = false;
    if (isBatchsTurn && this.#commitBatch(lane, isLarge)) return true;
    const group = this.#starts.takeAlone(isLarge);
    if (group === undefined) return !isBatchsTurn && this.#commitBatch(lane, isLarge);
    this.#commitStarts(lane, group, isLarge);
    this.#wasAlone[kind] = true;
    return true;
  }

  /** Commits a start with an idempotency key alone, so that its failure cannot fail others. */
  #commitStarts(lane: Lane, group: StartGroup, isLarge: boolean): void {
    const decidedAt = performance.now();
    const { units: ready } = this.#committer.decide(this.#startUnits(group), { onlyThese: true });
    const finish = (error?: unknown) => {
      if (error !== undefined) for (const unit of ready) this.#committer.abandon(unit);
      group.settle(isContended(error) ? new KeyTaken() : error);
    };
    this.#write(lane, ready, isLarge).then(() => {
      this.#committer.committed(ready, decidedAt);
      finish();
    }, finish);
  }

  /** Returns whether a commit is on its way. */
  #commitBatch(lane: Lane, isLarge: boolean): boolean {
    const committer = this.#committer;
    const groups = this.#starts.takeTogether(isLarge);
    const starting = groups.flatMap((group) => this.#startUnits(group));
    const [loaded, unloaded, moving] = byWay(this.#actors.collect(isLarge));
    for (const unit of moving) this.#migrations.commit(unit);
    if (unloaded.length > 0) this.#locked.commit(unloaded);
    const decidedAt = performance.now();
    // Ready steps of other executions are claimed by small commits.
    const options = { finished: committer.takeFinished(isLarge), onlyThese: isLarge };
    const { units: ready, stale, alone } = committer.decide([...starting, ...loaded], options);
    const again = [...stale, ...alone] as DecidedUnit[];
    for (const unit of again) committer.abandon(unit, true);
    if (stale.length > 0) this.#locked.commit(stale);
    for (const unit of alone) this.#locked.commitAlone(unit);
    const settleStarts = (error?: unknown) => {
      for (const group of groups) group.settle(error);
    };
    if (ready.length === 0) {
      settleStarts();
      if (unloaded.length + again.length + moving.length > 0) this.wake();
      return false;
    }
    this.#write(lane, ready, isLarge).then(
      () => {
        committer.committed(ready, decidedAt);
        settleStarts();
      },
      (error) => {
        committer.observer.conflict(error);
        this.#locked.commit(committer.abandonAll(ready, !isGuardFailed(error)), settleStarts);
      },
    );
    return true;
  }

  #startUnits(group: StartGroup): LoadedUnit[] {
    return group.starts.map((start) => {
      const actor = this.#actors.get(start.row.id);
      actor.kept.set(INPUT, new JsonPayload(start.row.inputs));
      return startUnit(actor, start);
    });
  }

  async #write(lane: Lane, units: readonly DecidedUnit[], isLarge: boolean): Promise<void> {
    lane.busy = true;
    if (isLarge) this.#largeLane = lane;
    else if (this.#largeLane === lane) this.#largeLane = null;
    try {
      const statements = await this.#committer.statements(units);
      if (statements.length > 0) await lane.transaction(statements);
    } finally {
      lane.busy = false;
      this.wake();
    }
  }
}

function byWay(units: readonly Unit[]): [loaded: LoadedUnit[], unloaded: Unit[], moving: Unit[]] {
  const loaded: LoadedUnit[] = [];
  const unloaded: Unit[] = [];
  const moving: Unit[] = [];
  for (const unit of units) {
    if (migrationOf(unit) !== null) moving.push(unit);
    else if (unit.actor.loaded === null) unloaded.push(unit);
    else loaded.push({ ...unit, loaded: unit.actor.loaded });
  }
  return [loaded, unloaded, moving];
}
