/**
 * The slow path of a commit: lock the executions, load their views, decide, write, all in one transaction.
 *
 * For executions whose view is not in memory, for commits that lost a race, and for jobs from the
 * queue: those are fetched and consumed in the same transaction.
 *
 * Invariant 1: a commit can be retried. After an unknown outcome the loaded view shows what was committed.
 * Invariant 2: an execution locked elsewhere, whose lock holder may be frozen, is waited for only after the others
 * have been committed. Large batches are committed in pieces: the first executions go on while the rest is written, and
 * an engine that is frozen or killed in the middle holds up few.
 * Invariant 3: data that the database refuses fails only its own execution, and a refused value only its own step:
 * the batch is halved until the culprit stands alone.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { countStopped } from '../core/ending.ts';
import { changesHold } from '../core/hold/held-back.ts';
import type { EndBelow, Plan } from '../core/plan.ts';
import { countLateEnds } from '../core/scopes/held-scopes.ts';
import type { StepState } from '../core/view.ts';
import { readClock } from '../db/clock.ts';
import { type Pool, type Tx, withTransaction } from '../db/connection/client.ts';
import { isAnswer } from '../db/connection/lane.ts';
import { isUnavailable, mayBeOfOne } from '../db/connection/session.ts';
import { lockAgainstScopes } from '../db/control/pause.ts';
import { endOf } from '../db/scopes/inbox.ts';
import { DecidedTooEarly, isGuardFailed } from '../db/statement.ts';
import { newId } from '../db/uuid.ts';
import { existingExecutions, lockExecutions } from '../db/workflow-execution.ts';
import type { ExecutionEngineQueue } from '../queue/execution-engine-queue.ts';
import type { TemplateVersions } from '../template/versions.ts';
import { childrenToTell, readWhetherChildrenAreOpen } from './children/left-behind.ts';
import type { Committer } from './committer.ts';
import { Released } from './control/released.ts';
import type { Decision } from './eager-frontier.ts';
import { withoutLimitedClaims } from './limited-claims.ts';
import { isRefusable, withoutRefused } from './refused-outcome.ts';
import { type Below, EndsBelow } from './scopes/ends-below.ts';
import { type DecidedUnit, type LoadedUnit, startUnit, takeUnit, type Unit } from './unit.ts';
import { noUnloadable, type Unloadable } from './unloadable.ts';
import { ViewLoader } from './view-loader.ts';

/** SQLSTATE classes of errors caused by a value: data exception, limit exceeded. */
const BAD_DATA = /^(22|54)/;
const LONGEST_PAUSE_MS = 2_000;
/** Executions of one transaction. */
const MAX_UNITS = 50;
/** Half a minute, or longer when each failure is slow. */
const MAX_FAILED_STARTS = 20;

export interface LockedCommitOptions {
  readonly pool: Pool;
  readonly committer: Committer;
  readonly versions: TemplateVersions;
  /** `locksFetched`: whether the database can skip locked rows. */
  readonly queue: Pick<ExecutionEngineQueue, 'deleteStatements' | 'locksFetched' | 'thoseThere'>;
}

export class LockedCommit {
  readonly #pool: Pool;
  readonly #committer: Committer;
  readonly #loader: ViewLoader;
  readonly #endsBelow: EndsBelow;
  readonly #released: Released;
  readonly #skipLocked: boolean;
  #answers = 0;
  #waiting = 0;

  constructor({ pool, committer, versions, queue }: LockedCommitOptions) {
    this.#pool = pool;
    this.#committer = committer;
    this.#loader = new ViewLoader(committer, versions);
    this.#endsBelow = new EndsBelow(queue);
    this.#released = new Released(queue);
    this.#skipLocked = queue.locksFetched;
  }

  /** Number of attempts that the database answered, including lost races. */
  get answers(): number {
    return this.#answers;
  }

  /** Returns whether a commit is in progress, or waits for its next attempt. */
  get isWaiting(): boolean {
    return this.#waiting > 0;
  }

  /**
   * Commits the units however long it takes: results of handlers must not be lost. `settle` gets the result of units
   * that start executions: their starters can retry, and are not kept waiting for ever.
   */
  async commit(units: readonly Unit[], settle?: (error?: unknown) => void): Promise<void> {
    this.#waiting += 1;
    try {
      const [starting, others] = byStart(units);
      // Starts stay together, to be answered together.
      await Promise.all([this.#commit(starting, null, settle), this.#commitInPieces(others)]);
    } finally {
      this.#waiting -= 1;
    }
  }

  /** Commits a unit that ends scopes below it, or leaves children behind. */
  async commitAlone(unit: Unit): Promise<void> {
    this.#waiting += 1;
    try {
      await this.#commit([unit], null, undefined, true);
    } finally {
      this.#waiting -= 1;
    }
  }

  async #commitInPieces(units: readonly Unit[]): Promise<void> {
    const passedOver: Unit[] | null = this.#skipLocked && units.length > 1 ? [] : null;
    for (let from = 0; from < units.length; from += MAX_UNITS)
      await this.#commit(units.slice(from, from + MAX_UNITS), passedOver);
    if (passedOver !== null) await this.#commit(passedOver, null);
  }

  /** @param passedOver gets units of executions that are locked elsewhere; null: their locks are waited for */
  async #commit(
    all: readonly Unit[],
    passedOver: Unit[] | null,
    settle?: (error?: unknown) => void,
    isAlone = false,
  ): Promise<void> {
    let units = all;
    for (let failures = 0; units.length > 0; failures++) {
      const unloadable = noUnloadable(passedOver !== null);
      try {
        await this.run((tx) =>
          isAlone ? this.#decideAlone(tx, units[0]!, unloadable) : this.#decideLocked(tx, units, unloadable),
        );
        this.#answers += 1;
        this.#settleUnloadable(unloadable);
        passedOver?.push(...unloadable.locked!);
        break;
      } catch (error) {
        if (isAnswer(error)) this.#answers += 1;
        if (!isUnavailable(error) && !isGuardFailed(error)) {
          this.#giveUp(units, error, settle);
          return;
        }
        this.#committer.observer.commitFailed(error, null);
        if (mayBeOfOne(error) && this.#part(units, settle)) return;
        if (isGuardFailed(error)) units = withoutLimitedClaims(units);
        // Decided again it may pause the execution, or let it go on.
        if (isAlone && isGuardFailed(error)) units = units.map((unit) => ({ ...unit, changesHold: true }));
        if (failures === MAX_FAILED_STARTS) units = this.#giveUpStarts(units, error, settle);
        await delay(Math.min(LONGEST_PAUSE_MS, 2 ** failures * 5) * (0.5 + Math.random() / 2));
      }
    }
    settle?.();
  }

  /** Returns the units that start nothing. */
  #giveUpStarts(units: readonly Unit[], error: unknown, settle?: (error?: unknown) => void): Unit[] {
    const [starting, others] = byStart(units);
    if (starting.length > 0) settle?.(error);
    for (const unit of starting) this.#committer.refuse(unit, error);
    return others;
  }

  /** Runs one transaction, whose decided units are committed with it. When it throws, its decisions are void. */
  async run(work: (tx: Tx) => Promise<LockedDecision>): Promise<void> {
    const begunAt = performance.now();
    let decided: readonly DecidedUnit[] = [];
    let decision: LockedDecision = NOTHING;
    try {
      await withTransaction(this.#pool, async (tx) => {
        decision = await work(tx);
        decided = decision.units;
        if (decided.length === 0) return;
        // The transaction may have begun before its locks became free.
        const moment = await readClock(tx);
        for (const statement of await this.#committer.statements(decided, moment)) await tx.query(statement);
      });
    } catch (error) {
      const units = [...decided, ...(decision.alone as DecidedUnit[])];
      this.#committer.abandonAll(units, !isGuardFailed(error));
      throw error;
    }
    if (decision.below !== undefined) this.#committer.endedBelow(decision.below);
    this.#committer.committed(decided, begunAt);
    for (const unit of decision.alone) this.commitAlone(unit);
  }

  async #decideLocked(tx: Tx, units: readonly Unit[], unloadable: Unloadable): Promise<LockedDecision> {
    const started = await existingExecutions(
      tx,
      units.filter(({ start }) => start !== null).map(({ actor }) => actor.executionId),
    );
    const present = await this.load(
      tx,
      units.filter(({ start, actor }) => start === null || started.has(actor.executionId)),
      unloadable,
    );
    const fresh = units.flatMap(({ actor, start, mails }) =>
      start === null || started.has(actor.executionId) ? [] : startUnit(actor, start, mails),
    );
    return this.#committer.decide([...fresh, ...present], { onlyThese: true, locked: 'together' });
  }

  /**
   * Decides a unit that ends scopes below it or leaves children behind: the execution is locked first, then its view, then
   * level by level; children are looked for last.
   */
  async #decideAlone(tx: Tx, unit: Unit, unloadable: Unloadable): Promise<LockedDecision> {
    if (unit.changesHold) await lockAgainstScopes(tx, unit.actor.executionId);
    else await lockExecutions(tx, [unit.actor.executionId]);
    const [loaded] = await this.load(tx, [unit], unloadable);
    if (loaded === undefined) return NOTHING;
    const { view } = loaded.loaded;
    await readWhetherChildrenAreOpen(tx, [loaded], true);
    const decision = this.#committer.decide([loaded], { onlyThese: true, locked: 'alone' });
    const [decided] = decision.units;
    const endedBelow = decided?.plan.scopes?.endedBelow ?? new Map<number, EndBelow>();
    const holdersTo = (what: EndBelow) =>
      [...endedBelow].filter(([, how]) => how === what).map(([slot]) => view.steps[slot]!);
    try {
      const stopped = await this.#stopBelow(tx, decided?.plan, holdersTo('stop'));
      const cancelled = await this.#cancelBelow(tx, loaded, holdersTo('cancel'));
      if (decided !== undefined) {
        if (changesHold(decided.plan) && !unit.changesHold) throw new DecidedTooEarly();
        const told = await childrenToTell(tx, decided, cancelled?.ended ?? []);
        if (told.length > 0) decided.told = told;
        await this.#released.addTickets(tx, decided);
      }
      const below = [stopped, cancelled].filter((part) => part !== null);
      return { ...decision, below };
    } catch (error) {
      this.#committer.abandonAll(decision.units);
      throw error;
    }
  }

  async #cancelBelow(
    tx: Tx,
    { loaded: { view }, inbox }: LoadedUnit,
    holders: readonly StepState[],
  ): Promise<Below | null> {
    if (holders.length === 0) return null;
    const ids = holders.map(({ id }) => id);
    const { below, heard } = await this.#endsBelow.cancel(tx, view.id, ids);
    const late = heard.filter(({ id }) => inbox?.ids.includes(id) !== true);
    for (const { id, held } of holders) {
      const ends = late.filter(({ stepId }) => stepId === id).flatMap((event) => endOf(event) ?? []);
      countLateEnds(
        held!,
        ends.filter(({ run }) => run === held!.run).map(({ end }) => end),
      );
    }
    return below;
  }

  /** Scopes that a plan stops and in which nothing runs are ended at once, and the plan takes note of it. */
  async #stopBelow(tx: Tx, plan: Plan | undefined, holders: readonly StepState[]): Promise<Below | null> {
    if (plan === undefined || holders.length === 0) return null;
    const ids = holders.map(({ id }) => id);
    const { below, cancelled } = await this.#endsBelow.stop(tx, plan.view.id, ids);
    countStopped(plan, new Map(holders.map(({ id, slot }) => [slot, cancelled.get(id) ?? 0])), newId);
    return below;
  }

  /** Locks and loads the units' views. */
  load(tx: Tx, units: readonly Unit[], unloadable: Unloadable): Promise<LoadedUnit[]> {
    return this.#loader.load(tx, units, unloadable);
  }

  #settleUnloadable({ unreadable, missing }: Unloadable): void {
    for (const unit of missing) this.#committer.settleAll(unit, 'missing');
    for (const { unit, error } of unreadable) this.#committer.refuse(unit, error);
  }

  /**
   * Commits the parts of a batch separately; false: it cannot be split. Starts stay together, to be answered
   * together.
   */
  #part(units: readonly Unit[], settle?: (error?: unknown) => void): boolean {
    const [starting, others] = byStart(units);
    if (starting.length > 0 && others.length > 0) {
      this.commit(starting, settle);
      this.commit(others);
      return true;
    }
    if (others.length < 2) return false;
    settle?.();
    const middle = others.length >> 1;
    this.commit(others.slice(0, middle));
    this.commit(others.slice(middle));
    return true;
  }

  /** Splits a batch with data that the database refuses; a single culprit fails its step. */
  #giveUp(units: readonly Unit[], error: unknown, settle?: (error?: unknown) => void): void {
    if (this.#part(units, settle)) return;
    const [starting, [unit]] = byStart(units);
    settle?.(starting.length > 0 ? error : undefined);
    const badData = BAD_DATA.test(codeOf(error));
    if (unit !== undefined && badData && unit.mails.some(isRefusable)) this.#blame(unit, error);
    else for (const each of units) this.#committer.refuse(each, error);
  }

  /**
   * Fails the step whose outcome the database refuses, or the sender of the answer. With several of them the later half
   * waits, until one stands alone.
   */
  #blame(unit: Unit, error: unknown): void {
    const { mails, actor } = unit;
    const suspects = mails.filter(isRefusable);
    if (suspects.length === 1) {
      this.commit([takeUnit(actor, withoutRefused(mails, suspects[0]!, error))]);
      return;
    }
    const middle = mails.indexOf(suspects[suspects.length >> 1]!);
    actor.mailbox.unshift(...mails.slice(middle));
    this.commit([takeUnit(actor, mails.slice(0, middle))]);
  }
}

/** What a transaction writes. */
export interface LockedDecision extends Pick<Decision, 'units' | 'alone'> {
  /** What the transaction has ended below. */
  readonly below?: readonly Below[];
}

export const NOTHING: LockedDecision = { units: [], alone: [] };

function byStart(units: readonly Unit[]): [starting: Unit[], others: Unit[]] {
  return [units.filter(({ start }) => start !== null), units.filter(({ start }) => start === null)];
}

function codeOf(error: unknown): string {
  return String((error as { code?: unknown } | null)?.code ?? '');
}
