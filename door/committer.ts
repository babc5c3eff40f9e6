/**
 * The commit machinery: decides units, returns the statements that write them, and runs the consequences of a
 * successful or failed commit. The door, the locked commit and the consumer of jobs commit through it.
 *
 * Not here: connections and transactions (execution-door.ts, locked-commit.ts).
 *
 * Invariant 1: an execution has at most one plan in flight (Actor.busy).
 * Invariant 2: an event is settled exactly once, after the commit that holds it.
 */
import { logsOf } from '../core/attempts/attempt-logs.ts';
import type { Job, JobKey } from '../core/jobs.ts';
import type { Plan } from '../core/plan.ts';
import { isFinalExecution } from '../core/status.ts';
import { type StepState, viewKey } from '../core/view.ts';
import { type PlanToWrite, planStatements } from '../db/apply-plan.ts';
import { lateStatements } from '../db/attempts/collect.ts';
import { keepLogs } from '../db/attempts/logs.ts';
import type { Moment } from '../db/clock.ts';
import { type ForkMark, markForks } from '../db/control/forks.ts';
import { checkHold } from '../db/control/pause.ts';
import { notify } from '../db/notify.ts';
import type { Statement } from '../db/statement.ts';
import { type ExecutionInsert, insertExecutions } from '../db/workflow-execution.ts';
import type { Outputs } from '../payload/execution-output.ts';
import type { JsonPayload } from '../payload/json-payload.ts';
import { inSlices } from '../process/in-slices.ts';
import type { ExecutionEngineQueue } from '../queue/execution-engine-queue.ts';
import type { Delivery } from './actor.ts';
import { Actors, isParkedBy } from './actors.ts';
import type { Capacity } from './capacity.ts';
import type { CommitObserver, CommitSubscriber } from './commit-subscriber.ts';
import { heldBy } from './control/held-views.ts';
import { insideOf } from './control/inside.ts';
import { jobsOfUnits } from './control/jobs.ts';
import { DecidedUnits } from './decided-units.ts';
import { claimedSteps, type DecideOptions, type Decision, EagerFrontier } from './eager-frontier.ts';
import { notificationOf } from './notification.ts';
import { isOutcome } from './refused-outcome.ts';
import type { Below } from './scopes/ends-below.ts';
import { outgoing } from './scopes/outgoing.ts';
import { UnsureScopes } from './scopes/unsure-scopes.ts';
import { type DecidedUnit, isOpened, type LoadedUnit, type Unit } from './unit.ts';

export interface CommitterOptions {
  readonly queue: ExecutionEngineQueue;
  readonly capacity: Capacity;
  readonly outputs: Outputs;
  readonly subscribers: readonly CommitSubscriber[];
  readonly observer: CommitObserver;
  readonly stopGraceMs: number;
  /** Largest output of a step. */
  readonly maxOutputBytes: number;
  /** Returns whether another engine may be waiting for work or for an execution's end. */
  hasPeers(): boolean;
  /** There may be something to commit. */
  wake(): void;
}

export class Committer {
  readonly actors = new Actors();
  readonly #options: CommitterOptions;
  readonly #frontier: EagerFrontier;
  readonly #finished = new DecidedUnits();
  readonly #unsure = new UnsureScopes(this.actors);

  constructor(options: CommitterOptions) {
    this.#options = options;
    this.#frontier = new EagerFrontier({
      actors: this.actors,
      capacity: options.capacity,
      outputs: options.outputs,
      onReady: (unit) => {
        this.#finished.add(unit);
        options.wake();
      },
      onError: (unit, error) => this.refuse(unit, error),
    });
  }

  get observer(): CommitObserver {
    return this.#options.observer;
  }

  get capacity(): Capacity {
    return this.#options.capacity;
  }

  /** Decides units. See EagerFrontier. */
  decide(units: readonly LoadedUnit[], options?: DecideOptions): Decision {
    return this.#frontier.decide(units, options);
  }

  /** Returns units that were decided before and whose outputs have arrived: large ones, or the others. */
  takeFinished(isLarge: boolean): DecidedUnit[] {
    // A unit whose view was discarded meanwhile is decided anew.
    return this.#finished.take(isLarge).filter(({ actor, loaded }) => actor.loaded === loaded);
  }

  /** Returns all statements of the units' commit. @param moment time to write, when the commit waited for a lock */
  async statements(units: readonly DecidedUnit[], moment: Moment | null = null): Promise<Statement[]> {
    const { queue, capacity, hasPeers, maxOutputBytes } = this.#options;
    // A plan of thousands of steps leaves the event loop to others now and then.
    const { statements, add, remove } = await inSlices(this.#writes(units, moment?.at ?? null));
    const mail = outgoing(units, maxOutputBytes, hasPeers());
    statements.push(...mail.statements);
    add.push(...mail.tickets);
    remove.push(...mail.read);
    if (remove.length > 0) statements.push(...(await queue.deleteStatements(remove)));
    if (add.length > 0) statements.push(...(await queue.insertStatements(add, moment?.sinceBeginMs)));
    // At most one notification per commit, and only when there may be listeners.
    const isDue = add.some(({ startAfter }) => startAfter === null);
    const payload = hasPeers() ? notificationOf(units, { isDue, told: mail.told }, capacity.owner) : null;
    if (payload !== null) statements.push(notify(payload));
    return statements;
  }

  *#writes(
    units: readonly DecidedUnit[],
    at: string | null,
  ): Generator<void, { statements: Statement[]; add: Job[]; remove: JobKey[] }> {
    const jobs = jobsOfUnits(units, this.#options);
    const rows = inserts(units);
    // A locked commit holds the executions of its scopes.
    const held = at === null ? heldBy(units) : [];
    const statements = held.length > 0 ? [checkHold(held)] : [];
    if (rows.length > 0) statements.push(insertExecutions(rows, at));
    const forks = marks(units);
    if (forks.length > 0) statements.push(markForks(forks));
    yield;
    statements.push(...(yield* planStatements(writes(units), at)));
    statements.push(...lateStatements(units, at));
    const logs = units.flatMap(({ plan, mails }) => logsOf(plan, mails));
    if (logs.length > 0) statements.push(keepLogs(logs));
    return { statements, ...jobs };
  }

  /** After a commit: caches payloads, calls subscribers, begins handlers, settles events, drops ended executions. */
  committed(units: readonly DecidedUnit[], decidedAt: number): void {
    const durationMs = performance.now() - decidedAt;
    for (const unit of units) {
      if (unit.plan.repair !== null) this.#resumed(unit);
      keepPayloads(unit);
      if (unit.plan.begun) unit.loaded.begunAt = performance.now();
    }
    for (const subscriber of this.#options.subscribers) subscriber.committed(units, durationMs);
    for (const unit of units) this.#followUp(unit);
    for (const { actor } of units) this.#unsure.settled(actor.key);
    this.actors.trim();
    this.#options.wake();
  }

  /** A retry: what is kept of steps that were reset is void, and so are the views of scopes that were opened again. */
  #resumed(unit: DecidedUnit): void {
    const { actor } = unit;
    actor.resumed(actor.resumes + 1);
    for (const { view } of insideOf(unit)) {
      const scope = this.actors.find(viewKey(view.id, view.scope));
      if (scope === undefined || scope.busy) continue;
      scope.forget();
      this.actors.drop(scope);
    }
  }

  /**
   * A commit failed. Returns the units to be decided again: not the scopes that it was to open, which their holders open
   * again.
   * @param isUnknown whether it may have gone through all the same
   */
  abandonAll(units: readonly DecidedUnit[], isUnknown = false): DecidedUnit[] {
    for (const unit of units) this.abandon(unit, true);
    const [opened, others] = [units.filter(isOpened), units.filter((unit) => !isOpened(unit))];
    for (const unit of opened) {
      const { actor } = unit;
      actor.free();
      this.actors.drop(actor);
      if (isUnknown) this.#unsure.add(unit);
    }
    return others;
  }

  /** A plan did not commit: its view and its claims are void. @param stays keeps the unit for the next attempt */
  abandon(unit: LoadedUnit | DecidedUnit, stays = false): void {
    const { actor } = unit;
    const { capacity } = this.#options;
    actor.forget();
    capacity.dismiss(actor);
    // Loading it again restores the steps that were ready and everything else the plan consumed.
    if (!stays) this.release(unit);
    if ('plan' in unit) for (const step of claimedSteps(unit)) capacity.refund(step);
  }

  /** Scopes below a plan have ended: their views in memory are void, and their handlers end. */
  endedBelow(parts: readonly Below[]): void {
    for (const { views, running, isGraceful } of parts) {
      this.#options.capacity.abort(running, isGraceful);
      for (const actor of views.map((key) => this.actors.find(key))) {
        // A commit that is on its way fails, and loads the view again.
        if (actor === undefined || actor.busy) continue;
        actor.forget();
        this.actors.drop(actor);
      }
    }
  }

  /** Drops a unit that was not decided: its execution is loaded again. */
  release({ actor }: Unit): void {
    actor.forget();
    this.#options.capacity.dismiss(actor);
    actor.free();
    this.actors.mark(actor);
  }

  /** Settles all events of an execution that does not exist, or that cannot be decided because of an error. */
  settleAll({ actor, mails }: Unit, delivery: Delivery, error?: unknown): void {
    this.actors.free(actor);
    this.#options.capacity.dismiss(actor);
    this.actors.drop(actor);
    this.#unsure.settled(actor.key);
    for (const { settle } of mails) settle?.(delivery, error);
    this.#options.wake();
  }

  /**
   * Drops the events of a unit that can never be decided or written: a fault of the engine. Results of handlers are
   * lost with them, and count as attempts: a retry is a new attempt.
   */
  refuse(unit: Unit, error: unknown): void {
    this.#options.observer.commitFailed(error, unit);
    this.settleAll(unit, 'late', error);
    for (const { event } of unit.mails) {
      if (!isOutcome(event)) continue;
      const { slot, claim } = event;
      this.actors.post(unit.actor.key, { event: { type: 'displace', slot, claim }, settle: null });
    }
  }

  /** An error after the commit affects only its execution, which is loaded again. */
  #followUp(unit: DecidedUnit): void {
    try {
      this.#begin(unit);
      this.#settle(unit);
    } catch (error) {
      this.#options.observer.commitFailed(error, unit);
      unit.actor.forget();
      this.actors.mark(unit.actor);
    }
  }

  #begin(unit: DecidedUnit): void {
    const { capacity } = this.#options;
    const { actor, plan, loaded } = unit;
    this.actors.free(actor);
    if (actor.held.length > 0) capacity.offer(loaded, actor.held.splice(0));
    if (plan.aborted.length > 0) this.#abort(plan);
    for (const [slot, { claimed, state }] of plan.steps) {
      if (!claimed || state.owner === null) continue;
      const { id, attempt, owner, sequence } = state;
      capacity.begin({ loaded, slot }, id, { attempt, owner, sequence, stepId: id });
    }
    if (actor.weight > 0 && (plan.end !== null || !actor.isUnderWay)) capacity.dismiss(actor);
  }

  /** Running steps are told to end: with the grace time while their result may count, or is to be kept. */
  #abort({ aborted }: Plan): void {
    const { capacity, stopGraceMs } = this.#options;
    const [lost, others] = split(aborted, (state) => state.lost);
    const [graceful, dropped] = split(others, ({ status }) => status === 'running');
    if (lost.length > 0) capacity.lose(ids(lost), stopGraceMs);
    if (graceful.length > 0) capacity.abort(graceful, true);
    if (dropped.length > 0) capacity.abort(dropped, false);
  }

  #settle({ actor, plan, mails }: DecidedUnit): void {
    const late = plan.late.length === 0 ? null : new Set(plan.late);
    for (const { event, settle } of mails) settle?.(late?.has(event) === true ? 'late' : 'applied');
    const { status } = plan.view;
    if (status === 'pending' || isFinalExecution(status)) this.actors.drop(actor);
    else if (isParkedBy(plan)) this.actors.park(actor);
  }
}

function keepPayloads({ actor, plan }: DecidedUnit): void {
  for (const [slot, change] of plan.steps) {
    if (change.output !== null) actor.kept.set(slot, change.output as JsonPayload);
    if (change.error !== null) actor.errors.set(slot, change.error);
    if (change.received !== null && change.state.status !== 'skipped')
      actor.received.set(slot, change.received);
  }
}

function split<T>(list: readonly T[], fits: (item: T) => boolean): [fitting: T[], others: T[]] {
  return [list.filter(fits), list.filter((item) => !fits(item))];
}

function ids(states: readonly StepState[]): string[] {
  return states.map(({ id }) => id);
}

/** Returns the plans of the units that changed something. */
function writes(units: readonly DecidedUnit[]): PlanToWrite[] {
  return units
    .filter(({ plan, start }) => plan.changed && (start === null || plan.begun))
    .flatMap((unit) => {
      const { plan, outputs, loaded, start } = unit;
      const { stepTemplateIds } = loaded.version;
      const own = { plan, stepTemplateIds, outputs, isNew: start !== null };
      const inside = insideOf(unit).map((each) => ({
        plan: each,
        stepTemplateIds,
        outputs: null,
        isNew: false,
      }));
      return [own, ...inside];
    });
}

function marks(units: readonly DecidedUnit[]): ForkMark[] {
  return units.flatMap(({ start }) =>
    start?.fork === undefined ? [] : { id: start.row.id, ...start.fork.mark },
  );
}

function inserts(units: readonly DecidedUnit[]): ExecutionInsert[] {
  const rows: ExecutionInsert[] = [];
  for (const { start, plan } of units) {
    if (start === null) continue;
    const { begun } = plan;
    rows.push({ ...start.row, status: begun ? 'running' : 'pending', sequence: begun ? 1 : 0 });
  }
  return rows;
}
