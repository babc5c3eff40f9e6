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
import type { Event } from '../core/event.ts';
import { EngineError } from '../core/problem.ts';
import { isFinalExecution } from '../core/status.ts';
import type { ExecutionView } from '../core/view.ts';
import { readClock } from '../db/clock.ts';
import { type Pool, type Tx, withTransaction } from '../db/connection/client.ts';
import { isAnswer } from '../db/connection/lane.ts';
import { isUnavailable, mayBeOfOne } from '../db/connection/session.ts';
import { GUARD_FAILED } from '../db/statement.ts';
import { existingExecutions, type LoadedExecution, lockExecutions } from '../db/workflow-execution.ts';
import { type LoadedStep, loadSteps } from '../db/workflow-step-execution.ts';
import { viewOf } from '../template/stored-view.ts';
import type { TemplateVersions } from '../template/versions.ts';
import { type Actor, Loaded } from './actor.ts';
import type { Committer } from './committer.ts';
import { isRefusable, withoutRefused } from './refused-outcome.ts';
import { type DecidedUnit, type LoadedUnit, startUnit, takeUnit, type Unit } from './unit.ts';
import { noUnloadable, type Unloadable } from './unloadable.ts';

/** SQLSTATE classes of errors caused by a value: data exception, limit exceeded. */
const BAD_DATA = /^(22|54)/;
const LONGEST_PAUSE_MS = 2_000;
/** Executions of one transaction. */
const MAX_UNITS = 50;
/** Half a minute, or longer when each failure is slow. */
const MAX_FAILED_STARTS = 20;

export class LockedCommit {
  readonly #pool: Pool;
  readonly #committer: Committer;
  readonly #versions: TemplateVersions;
  readonly #skipLocked: boolean;
  #answers = 0;
  #waiting = 0;

  /** @param skipLocked whether the database can skip locked rows */
  constructor(pool: Pool, committer: Committer, versions: TemplateVersions, skipLocked: boolean) {
    this.#pool = pool;
    this.#committer = committer;
    this.#versions = versions;
    this.#skipLocked = skipLocked;
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
  ): Promise<void> {
    let units = all;
    for (let failures = 0; units.length > 0; failures++) {
      const unloadable = noUnloadable(passedOver !== null);
      try {
        await this.run((tx) => this.#decideLocked(tx, units, unloadable));
        this.#answers += 1;
        this.#settleUnloadable(unloadable);
        passedOver?.push(...unloadable.locked!);
        break;
      } catch (error) {
        if (isAnswer(error)) this.#answers += 1;
        if (!isUnavailable(error) && codeOf(error) !== GUARD_FAILED) {
          this.#giveUp(units, error, settle);
          return;
        }
        this.#committer.observer.commitFailed(error, null);
        if (mayBeOfOne(error) && this.#part(units, settle)) return;
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
  async run(work: (tx: Tx) => Promise<readonly DecidedUnit[]>): Promise<void> {
    const begunAt = performance.now();
    let decided: readonly DecidedUnit[] = [];
    try {
      await withTransaction(this.#pool, async (tx) => {
        decided = await work(tx);
        if (decided.length === 0) return;
        // The transaction may have begun before its locks became free.
        const moment = await readClock(tx);
        for (const statement of await this.#committer.statements(decided, moment)) await tx.query(statement);
      });
    } catch (error) {
      for (const unit of decided) this.#committer.abandon(unit, true);
      throw error;
    }
    this.#committer.committed(decided, begunAt);
  }

  async #decideLocked(
    tx: Tx,
    units: readonly Unit[],
    unloadable: Unloadable,
  ): Promise<readonly DecidedUnit[]> {
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
    return this.#committer.decide([...fresh, ...present], true);
  }

  /** Locks and loads the units' executions. */
  async load(tx: Tx, units: readonly Unit[], unloadable: Unloadable): Promise<LoadedUnit[]> {
    if (units.length === 0) return [];
    const { locked } = unloadable;
    const ids = units.map(({ actor }) => actor.executionId);
    const rows = await lockExecutions(tx, ids, locked !== null);
    const executions = new Map(rows.map((execution) => [execution.id, execution]));
    const left = locked === null ? [] : ids.filter((id) => !executions.has(id));
    const lockedIds = await existingExecutions(tx, left);
    const steps = Map.groupBy(await loadSteps(tx, [...executions.keys()]), ({ executionId }) => executionId);
    const present: LoadedUnit[] = [];
    for (const unit of units) {
      const { executionId: id } = unit.actor;
      const execution = executions.get(id);
      if (lockedIds.has(id)) locked!.push(unit);
      else if (execution === undefined) unloadable.missing.push(unit);
      else {
        const loaded = await this.#loadActor(tx, unit.actor, execution, steps.get(id) ?? []);
        if (loaded instanceof Loaded) present.push(this.#loadedUnit(unit, loaded));
        else if (isFinalExecution(execution.status)) unloadable.missing.push(unit);
        else unloadable.unreadable.push({ unit, error: loaded });
      }
    }
    return present;
  }

  #settleUnloadable({ unreadable, missing }: Unloadable): void {
    for (const unit of missing) this.#committer.settleAll(unit, 'missing');
    for (const { unit, error } of unreadable) this.#committer.refuse(unit, error);
  }

  /** Returns an error when this engine cannot read the execution. */
  async #loadActor(
    tx: Tx,
    actor: Actor,
    execution: LoadedExecution,
    steps: readonly LoadedStep[],
  ): Promise<Loaded | Error> {
    let loaded: Loaded;
    try {
      const version = await this.#versions.get(tx, execution.templateId);
      const { workspaceId, priority, callbackUrl } = execution;
      const view = viewOf(version, execution, steps);
      loaded = actor.load({ version, workspaceId, priority, callbackUrl }, view);
      if (execution.runMs !== null) loaded.begunAt = performance.now() - execution.runMs;
    } catch (error) {
      if (error instanceof EngineError) return error;
      throw error;
    }
    const queued = loaded.view.steps.flatMap((state) => (state?.status === 'queued' ? state.slot : []));
    this.#committer.capacity.offer(loaded, queued);
    return loaded;
  }

  #loadedUnit(unit: Unit, loaded: Loaded): LoadedUnit {
    const { actor, finished } = unit;
    const mails = [...this.#orphans(unit, loaded.view), ...unit.mails];
    return { actor, mails, start: null, finished, loaded };
  }

  /** Returns releases of claims of this process that it does not know: made by a commit whose answer was lost. */
  #orphans({ actor, mails }: Unit, view: ExecutionView): { event: Event; settle: null }[] {
    const { capacity } = this.#committer;
    const waiting = [...mails, ...actor.mailbox].map(({ event }) => event);
    const orphans: { event: Event; settle: null }[] = [];
    for (const state of view.steps) {
      if (
        state?.status !== 'running' ||
        state.owner !== capacity.owner ||
        capacity.holds(state.id, state.attempt)
      )
        continue;
      const { slot, attempt } = state;
      const claim = { attempt, owner: capacity.owner };
      // An event of an earlier claim, such as the rescue from a dead engine, says nothing of this one.
      const isOfClaim = (event: Event) =>
        'claim' in event &&
        event.slot === slot &&
        event.claim.attempt === attempt &&
        event.claim.owner === claim.owner;
      if (!waiting.some(isOfClaim)) orphans.push({ event: { type: 'release', slot, claim }, settle: null });
    }
    return orphans;
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

function byStart(units: readonly Unit[]): [starting: Unit[], others: Unit[]] {
  return [units.filter(({ start }) => start !== null), units.filter(({ start }) => start === null)];
}

function codeOf(error: unknown): string {
  return String((error as { code?: unknown } | null)?.code ?? '');
}
