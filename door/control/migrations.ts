/**
 * Moves an execution to another version of its template, in a commit of its own.
 *
 * The execution is locked, then its view, then its open scopes level by level. Their sequences are raised, and so is its own:
 * whatever another engine has in memory of them loses its guard at its next commit, and is loaded again with the version that
 * the rows then have. Handlers that run go on, and their results find their step by its id (core/control/migration/located.ts).
 */
import { setTimeout as delay } from 'node:timers/promises';
import { isMisfit, type KeyMap, type Migration, planMigration } from '../../core/control/migrate.ts';
import { starvationOf } from '../../core/control/refusal.ts';
import { isUnderWay } from '../../core/hold/held-back.ts';
import {
  deadlineJob,
  type Job,
  type JobKey,
  ofView,
  readyQueue,
  stepJobKeys,
  stepTicket,
} from '../../core/jobs.ts';
import { EngineError } from '../../core/problem.ts';
import { receivedInputs } from '../../core/settlement.ts';
import { type ExecutionView, viewKey } from '../../core/view.ts';
import type { Tx } from '../../db/connection/client.ts';
import { isContended } from '../../db/connection/lane.ts';
import { isUnavailable } from '../../db/connection/session.ts';
import {
  dropGrants,
  dropInputs,
  dropSteps,
  moveExecution,
  moveScopes,
  moveSteps,
  raiseScopes,
} from '../../db/control/migrations.ts';
import { newId } from '../../db/uuid.ts';
import { lockExecutions } from '../../db/workflow-execution.ts';
import { receivedLiteral } from '../../db/workflow-input-tracker.ts';
import type { ExecutionEngineQueue } from '../../queue/execution-engine-queue.ts';
import type { TemplateVersion } from '../../template/version.ts';
import type { TemplateVersions } from '../../template/versions.ts';
import type { Committer } from '../committer.ts';
import { lockLevels } from '../scopes/ends-below.ts';
import { type DecidedUnit, type LoadedUnit, migrationOf, type Unit } from '../unit.ts';
import { noUnloadable, type Unloadable } from '../unloadable.ts';
import { cannotMigrate, refusalOfState } from './migration-refusal.ts';

/** The transactions of the locked commit. */
export interface Locked {
  run(work: (tx: Tx) => Promise<Moved>): Promise<void>;
  load(tx: Tx, units: readonly Unit[], unloadable: Unloadable): Promise<LoadedUnit[]>;
}

/** What a transaction writes. */
interface Moved {
  readonly units: DecidedUnit[];
  readonly alone: Unit[];
}

export interface MigrationsOptions {
  readonly committer: Committer;
  readonly locked: Locked;
  readonly versions: TemplateVersions;
  readonly queue: Pick<ExecutionEngineQueue, 'deleteStatements' | 'insertStatements'>;
}

const LONGEST_PAUSE_MS = 2_000;
const MAX_FAILURES = 20;

export class Migrations {
  readonly #options: MigrationsOptions;

  constructor(options: MigrationsOptions) {
    this.#options = options;
  }

  /** Commits a unit that moves its execution. Its other events wait for the next commit. */
  async commit({ actor, mails }: Unit): Promise<void> {
    const { committer, locked } = this.#options;
    const moving = mails.filter(({ event }) => event.type === 'migrate').slice(0, 1);
    actor.mailbox.unshift(...mails.filter((mail) => !moving.includes(mail)));
    const unit = { actor, mails: moving, start: null, finished: null };
    for (let failures = 0; ; failures += 1) {
      const outcome: { refusal: Error | null } = { refusal: null };
      try {
        await locked.run((tx) => this.#move(tx, unit, outcome));
        this.#settle(unit, outcome.refusal);
        return;
      } catch (error) {
        if ((!isUnavailable(error) && !isContended(error)) || failures === MAX_FAILURES) {
          committer.refuse(unit, error);
          return;
        }
        committer.observer.commitFailed(error, null);
        await delay(Math.min(LONGEST_PAUSE_MS, 2 ** failures * 5) * (0.5 + Math.random() / 2));
      }
    }
  }

  /** What is in memory of a moved execution is loaded anew: its ready steps begin then, and it ends when it is over. */
  #settle(unit: Unit, refusal: Error | null): void {
    const { actors } = this.#options.committer;
    const { actor } = unit;
    if (refusal !== null) {
      this.#options.committer.settleAll(unit, 'late', refusal);
      if (actor.mailbox.length > 0) actors.mark(actor);
      return;
    }
    actor.forget();
    actors.post(actor.key, { event: { type: 'reconsider' }, settle: null });
  }

  async #move(tx: Tx, unit: Unit, outcome: { refusal: Error | null }): Promise<Moved> {
    const { locked, versions } = this.#options;
    const { templateId, map, act } = migrationOf(unit)!;
    const { executionId: id } = unit.actor;
    const unloadable = noUnloadable(false);
    const [execution] = await lockExecutions(tx, [id]);
    const [loaded] = await locked.load(tx, [unit], unloadable);
    outcome.refusal =
      loaded === undefined
        ? (unloadable.unreadable[0]?.error ??
          new EngineError('execution_not_found', `There is no execution ${id}.`))
        : refusalOfState(loaded.loaded.view);
    if (loaded === undefined || execution === undefined || outcome.refusal !== null) return this.#leave(unit);
    const version = await versions.get(tx, templateId);
    const migration = judgeMigration(loaded.loaded.view, version, map);
    if (migration instanceof EngineError) {
      outcome.refusal = migration;
      return this.#leave(unit);
    }
    migration.plan.acts = [act];
    await this.#write(tx, loaded, version, migration);
    return { units: [this.#decided(loaded, version, migration)], alone: [] };
  }

  #leave({ actor }: Unit): Moved {
    actor.forget();
    return { units: [], alone: [] };
  }

  #decided({ loaded, actor, mails }: LoadedUnit, version: TemplateVersion, { plan }: Migration): DecidedUnit {
    const moved = actor.load({ ...loaded.facts, version }, plan.view);
    moved.begunAt = loaded.begunAt;
    return { actor, mails, start: null, finished: null, loaded: moved, plan, outputs: null, outbox: null };
  }

  async #write(
    tx: Tx,
    { loaded }: LoadedUnit,
    version: TemplateVersion,
    migration: Migration,
  ): Promise<void> {
    const { plan, dropped, moved, lostInputs, holders } = migration;
    const { view: old } = loaded;
    const { view } = plan;
    const holding = old.steps.flatMap((state) => (state?.held == null ? [] : state.id));
    const levels = await lockLevels(tx, view.id, holding);
    const open = levels.flatMap(({ scopes }) => scopes);
    await raiseScopes(tx, open);
    await moveExecution(tx, view.id, version.id, view.failure === null ? null : JSON.stringify(view.failure));
    await dropInputs(tx, lostInputs);
    await dropSteps(
      tx,
      dropped.map(({ id }) => id),
    );
    const rows = moved.map(({ state }) => ({
      id: state.id,
      stepTemplateId: version.stepTemplateIds[state.position]!,
      required: view.graph.required[state.slot]!,
      received:
        plan.steps.has(state.slot) || state.status === 'waiting_inputs'
          ? null
          : receivedLiteral(receivedInputs(view, state.slot)),
    }));
    await moveSteps(tx, rows);
    await moveScopes(tx, view.id, { from: loaded.version.id, to: version.id }, holders);
    await this.#moveJobs(tx, loaded, migration);
    this.#options.committer.endedBelow([
      { views: open.map((scope) => viewKey(view.id, scope)), running: [], isGraceful: true, ended: [] },
    ]);
  }

  /** Tickets change their queue and their place in it; the timeout counts from the start of the execution. */
  async #moveJobs(tx: Tx, { view: old, begunAt }: LoadedUnit['loaded'], migration: Migration): Promise<void> {
    const { queue } = this.#options;
    const { plan, dropped, moved } = migration;
    const { view } = plan;
    const remove: JobKey[] = dropped.flatMap(({ id }) => stepJobKeys(id));
    const add: Job[] = [];
    const queued = moved.filter(({ state }) => state.status === 'queued' && !plan.steps.has(state.slot));
    for (const { state, oldSlot } of queued) {
      remove.push({ queue: readyQueue(old.graph, oldSlot), id: state.id });
      add.push(stepTicket(ofView(view), view.graph, state));
    }
    const { timeoutMs } = view.graph;
    if (timeoutMs !== old.graph.timeoutMs && isUnderWay(old)) {
      const { queue: name, id } = deadlineJob(view.id, 0);
      remove.push({ queue: name, id });
      const ranMs = begunAt === null ? 0 : performance.now() - begunAt;
      if (timeoutMs !== null) add.push(deadlineJob(view.id, Math.max(0, timeoutMs - ranMs)));
    }
    await dropGrants(
      tx,
      queued.map(({ state }) => state.id),
    );
    if (remove.length > 0)
      for (const statement of await queue.deleteStatements(remove)) await tx.query(statement);
    if (add.length > 0) for (const statement of await queue.insertStatements(add)) await tx.query(statement);
  }
}

/** Returns how the execution moves, or why it cannot. */
export function judgeMigration(
  view: ExecutionView,
  version: TemplateVersion,
  map: KeyMap,
): Migration | EngineError {
  const result = planMigration(view, version.graph, map, newId);
  if (isMisfit(result)) return cannotMigrate(view.id, version, result);
  const starvation = starvationOf(result.plan.view);
  return starvation === null ? result : new EngineError(starvation.code, starvation.message);
}
