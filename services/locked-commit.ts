/**
 * The slow, sure way of a commit: lock the executions, load their views, decide, write, all in one transaction.
 *
 * For executions whose view is not in memory, for commits that lost a race, and for jobs that come from the
 * queue: those are fetched and consumed in the same transaction.
 *
 * Invariant 1: a commit can be run again. After an unknown outcome the loaded view tells what had committed.
 * Invariant 2: a value that the database refuses takes down nobody but its own step: the batch is halved until
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
import type { TemplateVersions } from './template-versions.ts';

/** Classes of errors that one value brings about: data exception, limit exceeded. */
const BAD_DATA = /^(22|54)/;
const LONGEST_PAUSE_MS = 2_000;

export class LockedCommit {
  readonly #pool: Pool;
  readonly #door: ExecutionDoor;
  readonly #versions: TemplateVersions;
  #answers = 0;
  #waiting = 0;

  constructor(pool: Pool, door: ExecutionDoor, versions: TemplateVersions) {
    this.#pool = pool;
    this.#door = door;
    this.#versions = versions;
  }

  /** Attempts that were answered, if only to say that somebody else was faster. */
  get answers(): number {
    return this.#answers;
  }

  /** Whether a commit is under way, or waits for its next attempt. */
  get isWaiting(): boolean {
    return this.#waiting > 0;
  }

  /** Commits the units however long it takes. `settle` hears an error only of units that start executions. */
  async commit(units: readonly Unit[], settle?: (error?: unknown) => void): Promise<void> {
    this.#waiting += 1;
    try {
      await this.#commit(units, settle);
    } finally {
      this.#waiting -= 1;
    }
  }

  async #commit(units: readonly Unit[], settle?: (error?: unknown) => void): Promise<void> {
    for (let failures = 0; ; failures++) {
      try {
        await this.run((tx) => this.#decideLocked(tx, units));
        this.#answers += 1;
        settle?.();
        return;
      } catch (error) {
        if (isAnswer(error)) this.#answers += 1;
        const again = isUnavailable(error) || codeOf(error) === GUARD_FAILED;
        this.#door.options.observer.commitFailed(error, again);
        if (!again) {
          this.#giveUp(units, error, settle);
          return;
        }
        if (settle !== undefined && failures > 20) {
          this.#giveUp(units, error, settle);
          return;
        }
        await delay(Math.min(LONGEST_PAUSE_MS, 2 ** failures * 5) * (0.5 + Math.random() / 2));
      }
    }
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

  async #decideLocked(tx: Tx, units: readonly Unit[]): Promise<readonly Unit[]> {
    const started = await existingExecutions(
      tx,
      units.filter(({ start }) => start !== null).map(({ actor }) => actor.id),
    );
    const present = await this.load(
      tx,
      units.filter(({ start, actor }) => start === null || started.has(actor.id)),
    );
    const fresh = units.filter(({ start, actor }) => start !== null && !started.has(actor.id));
    return this.#door.decide([...fresh, ...present], true);
  }

  /** Locks and loads the units' executions; those that are not there are settled as missing. */
  async load(tx: Tx, units: readonly Unit[]): Promise<Unit[]> {
    if (units.length === 0) return [];
    const ids = units.map(({ actor }) => actor.id);
    const executions = new Map((await lockExecutions(tx, ids)).map((execution) => [execution.id, execution]));
    const steps = Map.groupBy(await loadSteps(tx, [...executions.keys()]), ({ executionId }) => executionId);
    const present: Unit[] = [];
    for (const unit of units) {
      const execution = executions.get(unit.actor.id);
      const loaded =
        execution !== undefined &&
        (await this.#loadActor(tx, unit.actor, execution, steps.get(unit.actor.id) ?? []));
      if (!loaded) this.#door.settleAll(unit, 'missing');
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

  /** Halves a batch that holds a value the database refuses; a culprit that stands alone fails its step. */
  #giveUp(units: readonly Unit[], error: unknown, settle?: (error?: unknown) => void): void {
    const badData = BAD_DATA.test(codeOf(error));
    if (badData && units.length > 1 && settle === undefined) {
      const middle = units.length >> 1;
      this.commit(units.slice(0, middle));
      this.commit(units.slice(middle));
      return;
    }
    const [unit] = units;
    const culprit =
      badData && units.length === 1 ? unit!.mails.find(({ event }) => event.type === 'complete') : undefined;
    if (unit !== undefined && culprit !== undefined) {
      const mails = unit.mails.map((mail) =>
        mail === culprit ? { ...mail, event: refused(mail.event, error) } : mail,
      );
      this.commit([{ ...unit, mails }]);
      return;
    }
    for (const each of units) this.#door.settleAll(each, 'late', error);
    settle?.(error);
  }
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
