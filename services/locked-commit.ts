/**
 * The slow, sure way of a commit: lock the executions, load their views, decide, write, all in one transaction.
 *
 * For executions whose view is not in memory, for commits that lost a race, and for jobs that come from the
 * queue: those are fetched and consumed in the same transaction.
 *
 * Invariant 1: a commit can be run again. After an unknown outcome the loaded view tells what had committed.
 * Invariant 2: an execution that somebody else has locked, who may be frozen, is waited for only when the others
 * have been committed.
 * Invariant 3: a value that the database refuses takes down nobody but its own step: the batch is halved until
 * the culprit stands alone.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Event } from '../core/event.ts';
import { loadView } from '../core/view.ts';
import { type Pool, type Tx, withTransaction } from '../db/client.ts';
import { isUnavailable } from '../db/session.ts';
import { GUARD_FAILED } from '../db/statement.ts';
import { existingExecutions, type LoadedExecution, lockExecutions } from '../db/workflow-execution.ts';
import { type LoadedStep, loadSteps } from '../db/workflow-step-execution.ts';
import type { Actor } from './actor.ts';
import type { Unit } from './commit-unit.ts';
import type { ExecutionDoor } from './execution-door.ts';
import { isAnswer } from './lanes.ts';
import { refuse } from './refusal.ts';
import type { TemplateVersions } from './template-versions.ts';

/** Classes of errors that one value brings about: data exception, limit exceeded. */
const BAD_DATA = /^(22|54)/;
const LONGEST_PAUSE_MS = 2_000;
/** Half a minute, and more where each failure takes its time. */
const MOST_FAILED_STARTS = 20;

export class LockedCommit {
  readonly #pool: Pool;
  readonly #door: ExecutionDoor;
  readonly #versions: TemplateVersions;
  readonly #skipLocked: boolean;
  #answers = 0;
  #waiting = 0;

  /** @param skipLocked whether the database can pass over what somebody has locked */
  constructor(pool: Pool, door: ExecutionDoor, versions: TemplateVersions, skipLocked: boolean) {
    this.#pool = pool;
    this.#door = door;
    this.#versions = versions;
    this.#skipLocked = skipLocked;
  }

  /** Attempts that were answered, if only to say that somebody else was faster. */
  get answers(): number {
    return this.#answers;
  }

  /** Whether a commit is under way, or waits for its next attempt. */
  get isWaiting(): boolean {
    return this.#waiting > 0;
  }

  /**
   * Commits the units however long it takes: what handlers did must not be lost. `settle` hears what became of those
   * that start executions: their starters can ask again, and are not kept waiting for ever.
   */
  async commit(units: readonly Unit[], settle?: (error?: unknown) => void): Promise<void> {
    this.#waiting += 1;
    try {
      await this.#commit(units, settle);
    } finally {
      this.#waiting -= 1;
    }
  }

  async #commit(all: readonly Unit[], settle?: (error?: unknown) => void): Promise<void> {
    let units = all;
    let passOver = this.#skipLocked && units.length > 1;
    for (let failures = 0; units.length > 0; failures++) {
      const locked: Unit[] = [];
      try {
        await this.run((tx) => this.#decideLocked(tx, units, passOver ? locked : null));
        this.#answers += 1;
        units = locked;
        passOver = false;
      } catch (error) {
        if (isAnswer(error)) this.#answers += 1;
        if (!isUnavailable(error) && codeOf(error) !== GUARD_FAILED) {
          this.#giveUp(units, error, settle);
          return;
        }
        this.#door.options.observer.commitFailed(error, true);
        if (failures === MOST_FAILED_STARTS) units = this.#giveUpStarts(units, error, settle);
        await delay(Math.min(LONGEST_PAUSE_MS, 2 ** failures * 5) * (0.5 + Math.random() / 2));
      }
    }
    settle?.();
  }

  /** Answers the units that start nothing. */
  #giveUpStarts(units: readonly Unit[], error: unknown, settle?: (error?: unknown) => void): Unit[] {
    const [starting, others] = byStart(units);
    if (starting.length > 0) settle?.(error);
    for (const unit of starting) refuse(this.#door, unit, error);
    return others;
  }

  /** One transaction whose decided units are committed when it is. What it decided is void when it throws. */
  async run(work: (tx: Tx) => Promise<readonly Unit[]>): Promise<void> {
    const begunAt = performance.now();
    let decided: readonly Unit[] = [];
    try {
      await withTransaction(this.#pool, async (tx) => {
        decided = await work(tx);
        for (const statement of await this.#door.statements(decided)) await tx.query(statement);
      });
    } catch (error) {
      for (const unit of decided) this.#door.abandon(unit, true);
      throw error;
    }
    this.#door.committed(decided, begunAt);
  }

  /** @param locked gets the units whose execution somebody else has locked; null: wait for them */
  async #decideLocked(tx: Tx, units: readonly Unit[], locked: Unit[] | null): Promise<readonly Unit[]> {
    const started = await existingExecutions(
      tx,
      units.filter(({ start }) => start !== null).map(({ actor }) => actor.id),
    );
    const present = await this.load(
      tx,
      units.filter(({ start, actor }) => start === null || started.has(actor.id)),
      locked,
    );
    const fresh = units.filter(({ start, actor }) => start !== null && !started.has(actor.id));
    return this.#door.decide([...fresh, ...present], true);
  }

  /**
   * Locks and loads the units' executions; those that are not there are settled as missing.
   * @param locked as in `#decideLocked`
   */
  async load(tx: Tx, units: readonly Unit[], locked: Unit[] | null = null): Promise<Unit[]> {
    if (units.length === 0) return [];
    const ids = units.map(({ actor }) => actor.id);
    const rows = await lockExecutions(tx, ids, locked !== null);
    const executions = new Map(rows.map((execution) => [execution.id, execution]));
    const left = locked === null ? [] : ids.filter((id) => !executions.has(id));
    const lockedIds = await existingExecutions(tx, left);
    const steps = Map.groupBy(await loadSteps(tx, [...executions.keys()]), ({ executionId }) => executionId);
    const present: Unit[] = [];
    for (const unit of units) {
      const execution = executions.get(unit.actor.id);
      const loaded =
        execution !== undefined &&
        (await this.#loadActor(tx, unit.actor, execution, steps.get(unit.actor.id) ?? []));
      if (lockedIds.has(unit.actor.id)) locked!.push(unit);
      else if (!loaded) this.#door.settleAll(unit, 'missing');
      else
        present.push({
          ...unit,
          start: null,
          plan: null,
          outputs: null,
          mails: [...this.#orphans(unit), ...unit.mails],
        });
    }
    return present;
  }

  async #loadActor(
    tx: Tx,
    actor: Actor,
    execution: LoadedExecution,
    steps: readonly LoadedStep[],
  ): Promise<boolean> {
    const version = await this.#versions.get(tx, execution.templateId);
    if (version === null) return false;
    actor.version = version;
    actor.workspaceId = execution.workspaceId;
    actor.priority = execution.priority;
    actor.callbackUrl = execution.callbackUrl;
    const { id, status, sequence, stopRequested, failure } = execution;
    const rows = steps.map((step) => ({ ...step, position: version.positions.get(step.stepTemplateId)! }));
    const view = loadView({ id, status, sequence, stopRequested, failure }, version.graph, rows);
    actor.view = view;
    const queued = view.steps.filter((state) => state?.status === 'queued').map((state) => state!.position);
    this.#door.options.claims.offer(actor, queued);
    return true;
  }

  /** Claims of this process that nobody in it knows of: made by a commit whose answer was lost. */
  #orphans({ actor, mails }: Unit): { event: Event; settle: null }[] {
    const { claims } = this.#door.options;
    const waiting = [...mails, ...actor.mailbox].map(({ event }) => event);
    const orphans: { event: Event; settle: null }[] = [];
    for (const state of actor.view!.steps) {
      if (
        state?.status !== 'running' ||
        state.owner !== claims.owner ||
        claims.holds(state.id, state.attempt)
      )
        continue;
      const claim = { attempt: state.attempt, owner: claims.owner };
      const answered = waiting.some((event) => 'claim' in event && event.position === state.position);
      if (!answered)
        orphans.push({ event: { type: 'release', position: state.position, claim }, settle: null });
    }
    return orphans;
  }

  /**
   * Halves a batch that holds a value the database refuses; a culprit that stands alone fails its step. Starts go by
   * themselves: they are answered together.
   */
  #giveUp(units: readonly Unit[], error: unknown, settle?: (error?: unknown) => void): void {
    const [starting, others] = byStart(units);
    if (starting.length > 0 && others.length > 0) {
      this.commit(starting, settle);
      this.commit(others);
      return;
    }
    settle?.(starting.length > 0 ? error : undefined);
    const badData = BAD_DATA.test(codeOf(error));
    if (badData && others.length > 1) {
      const middle = others.length >> 1;
      this.commit(others.slice(0, middle));
      this.commit(others.slice(middle));
      return;
    }
    const [unit] = others;
    const culprit = badData ? unit?.mails.find(({ event }) => event.type === 'complete') : undefined;
    if (unit !== undefined && culprit !== undefined) {
      const mails = unit.mails.map((mail) =>
        mail === culprit ? { ...mail, event: refused(mail.event, error) } : mail,
      );
      this.commit([{ ...unit, mails }]);
      return;
    }
    for (const each of units) refuse(this.#door, each, error);
  }
}

function byStart(units: readonly Unit[]): [starting: Unit[], others: Unit[]] {
  return [units.filter(({ start }) => start !== null), units.filter(({ start }) => start === null)];
}

function refused(event: Event, error: unknown): Event {
  const { position, claim } = event as Extract<Event, { type: 'complete' }>;
  const message = `The database refused the output: ${(error as Error).message}`;
  const stepError = { code: 'output_not_storable', message, details: null };
  return {
    type: 'fail',
    position,
    claim,
    error: stepError,
    retryable: false,
    retryAfterMs: null,
    begun: true,
    random: 0,
  };
}

function codeOf(error: unknown): string {
  return String((error as { code?: unknown } | null)?.code ?? '');
}
