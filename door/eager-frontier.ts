/**
 * The eager frontier: decides a batch of units and claims what is ready within the same commit.
 *
 * The commit that makes a step ready claims it for this process as far as capacity is free, in the order of the
 * ready queue. So the whole frontier advances level by level, and only the remaining steps become jobs.
 */
import { failCompleted } from '../core/ending.ts';
import type { Event } from '../core/event.ts';
import { emptyPlan, type Plan } from '../core/plan.ts';
import { claimWithin, transition } from '../core/transition.ts';
import type { ViewKey } from '../core/view.ts';
import { newId } from '../db/uuid.ts';
import { finishOutputs, type Outputs } from '../payload/execution-output.ts';
import type { Actor, Mail } from './actor.ts';
import type { Capacity, ReservedStep } from './capacity.ts';
import { OutputEvaluation } from './output-evaluation.ts';
import { hasToDoWithScopes, isAlone, type Locked, Round } from './scopes/round.ts';
import { type DecidedUnit, eventsOf, LARGE_PAYLOAD, type LoadedUnit, type Unit } from './unit.ts';

export interface FrontierOptions {
  readonly actors: {
    get(key: ViewKey): Actor;
    find(key: ViewKey): Actor | undefined;
    renew(key: ViewKey): Actor;
    free(actor: Actor): void;
    /** Includes the execution in the next commit. */
    mark(actor: Actor): void;
  };
  readonly capacity: Capacity;
  readonly outputs: Outputs;
  /** A unit whose outputs took time can be written now. */
  onReady(unit: DecidedUnit): void;
  /** A unit could not be decided. */
  onError(unit: Unit, error: unknown): void;
}

/** Ready steps of other executions that one commit skips before it leaves them to the next. */
const MAX_PASSED_OVER = 1_000;

/** Units of one commit, by their actors. */
type Batch = Map<Actor, DecidedUnit>;

/** What a batch of units came to. */
export interface Decision {
  /** To be written in one commit. */
  readonly units: DecidedUnit[];
  /** Decided on views that may be stale: to be decided again, under locks. */
  readonly stale: Unit[];
  /** Units that end scopes below them or leave children behind: each is to be decided again, and committed alone. */
  readonly alone: Unit[];
}

export interface DecideOptions {
  /** Units decided before, to be written in this commit as well. */
  readonly finished?: readonly DecidedUnit[];
  /** Claims no steps of executions without an event. */
  readonly onlyThese?: boolean;
  /** The views are locked: they are not stale, and no others are taken. */
  readonly locked?: Locked;
}

export class EagerFrontier {
  readonly #options: FrontierOptions;

  constructor(options: FrontierOptions) {
    this.#options = options;
  }

  /**
   * Decides units and claims ready steps, in the order of the ready queue. Units whose outputs take time, or are
   * large, come with a later commit.
   */
  decide(units: readonly LoadedUnit[], options: DecideOptions = {}): Decision {
    const { onlyThese = false } = options;
    const [alone, finished] = byAlone(options.finished ?? []);
    const batch: Batch = new Map(finished.map((unit) => [unit.actor, unit]));
    const round = this.#round(batch, options);
    if (units.some(hasToDoWithScopes) || finished.some(hasToDoWithScopes))
      round.decideByDepth(units, finished);
    else for (const unit of units) round.decideFlat(unit);
    this.#claimReady(batch, onlyThese);
    return { units: [...batch.values()], stale: round.stale, alone: [...round.alone, ...alone] };
  }

  #round(batch: Batch, { locked }: DecideOptions): Round {
    const { capacity, actors } = this.#options;
    return new Round({
      actors,
      locked,
      self: capacity.owner,
      decideOne: (unit, heard) => this.#decideOne(unit, heard),
      accept: (unit, by) => {
        batch.set(unit.actor, unit);
        const { loaded, plan } = unit;
        const begins = plan.begun || plan.repair !== null;
        if (begins && loaded.view.scope === null) capacity.admit(loaded);
        capacity.offer(loaded, plan.ready, by);
      },
    });
  }

  /** Returns null when the unit cannot be written now. */
  #decideOne(unit: LoadedUnit, heard: readonly Event[]): DecidedUnit | null {
    const { capacity, outputs, onReady, onError } = this.#options;
    // Of an earlier decision, whose transaction failed.
    unit.actor.evaluation?.interrupt();
    unit.actor.evaluation = null;
    try {
      const plan = transition(unit.loaded.view, this.#events(unit, heard), newId);
      // A scope that is undone has its outputs.
      if (plan.end?.status !== 'completed' || plan.fromStatus === 'compensating')
        return decided(unit, plan, null);
      if (unit.finished?.fromSequence === plan.fromSequence) return finishedBefore(unit, plan);
      const evaluation = new OutputEvaluation(unit.mails);
      const json = finishOutputs(unit.loaded, plan, outputs, evaluation);
      const isLater = json instanceof Promise || (json !== null && json.length >= LARGE_PAYLOAD);
      if (isLater && heard.length > 0) return this.#putOff(unit, evaluation);
      if (!(json instanceof Promise)) {
        if (!isLater) return decided(unit, plan, json);
        onReady(withFinished(decided(unit, plan, json)));
        return null;
      }
      unit.actor.evaluation = evaluation;
      json.then((text) => {
        if (evaluation.isInterrupted) return;
        unit.actor.evaluation = null;
        // An output that could not be made may be followed by a compensation.
        capacity.offer(unit.loaded, plan.ready);
        onReady(withFinished(decided(unit, plan, text)));
      });
    } catch (error) {
      // A half-applied decision is worthless: the view is loaded again.
      unit.actor.forget();
      onError(unit, error);
    }
    return null;
  }

  /**
   * What it has heard is of this commit alone, and its end would be of a later one: it hears of it again, by its inbox, when
   * this commit is through.
   */
  #putOff({ actor }: LoadedUnit, evaluation: OutputEvaluation<Mail>): null {
    evaluation.interrupt();
    actor.interrupt(evaluation);
    this.#options.actors.mark(actor);
    return null;
  }

  #events(unit: LoadedUnit, heard: readonly Event[]): readonly Event[] {
    const { start } = unit;
    const events = heard.length === 0 ? eventsOf(unit) : [...eventsOf(unit), ...heard];
    if (start?.fork !== undefined) return [start.fork.begin, ...events];
    const begins =
      start !== null &&
      start.row.startAfter === null &&
      this.#options.capacity.hasRoom(start.version.graph, start.row.workspaceId);
    return begins ? [{ type: 'begin' } as const, ...events] : events;
  }

  #claimReady(batch: Batch, onlyThese: boolean): void {
    const { capacity, actors } = this.#options;
    const passedOver: { actor: Actor; slot: number }[] = [];
    for (let step = capacity.reserve(); step !== null; step = capacity.reserve()) {
      const { slot, loaded } = step;
      const actor = actors.get(loaded.actor.key);
      const unit = batch.get(actor) ?? (onlyThese ? undefined : joinBatch(actor, batch));
      if (unit === undefined) passedOver.push({ actor, slot });
      if (unit === undefined || !isSame(step, unit) || !claimWithin(unit.plan, slot, capacity.owner))
        capacity.refund(step);
      if (unit === undefined && passedOver.length > MAX_PASSED_OVER) break;
    }
    for (const { actor, slot } of passedOver) this.#offerLater(actor, slot);
  }

  /** Offers the step again once the current commit of its execution is done. */
  #offerLater(actor: Actor, slot: number): void {
    const { capacity, actors } = this.#options;
    if (!actor.busy && actor.loaded !== null) {
      capacity.offer(actor.loaded, [slot]);
      return;
    }
    actor.held.push(slot);
    if (!actor.busy) actors.mark(actor);
  }
}

/** Returns whether the slot has the step that was offered: in another version of the template it has another one. */
function isSame({ loaded, slot }: ReservedStep, unit: DecidedUnit): boolean {
  return loaded === unit.loaded || loaded.view.steps[slot]?.id === unit.loaded.view.steps[slot]?.id;
}

/** Units whose outputs took time are decided; those that must be committed alone are decided once more. */
function byAlone(finished: readonly DecidedUnit[]): [alone: DecidedUnit[], others: DecidedUnit[]] {
  if (!finished.some(isAlone)) return [[], [...finished]];
  return [finished.filter(isAlone), finished.filter((unit) => !isAlone(unit))];
}

/** Adds an execution without events to the batch, for a claim. */
function joinBatch(actor: Actor, batch: Batch): DecidedUnit | undefined {
  const { loaded } = actor;
  if (actor.busy || loaded === null) return undefined;
  actor.take();
  const unit: LoadedUnit = { actor, mails: [], start: null, finished: null, loaded };
  const joined = decided(unit, emptyPlan(loaded.view), null);
  batch.set(actor, joined);
  return joined;
}

function decided(unit: LoadedUnit, plan: Plan, outputs: string | null): DecidedUnit {
  const { actor, mails, start, finished, loaded, inbox } = unit;
  return { actor, mails, start, finished, loaded, inbox, plan, outputs, outbox: null };
}

/** Reuses the outputs made by the last decision of the same end. */
function finishedBefore(unit: LoadedUnit, plan: Plan): DecidedUnit {
  const { failure, outputs } = unit.finished!;
  if (failure !== null) failCompleted(plan, failure, newId);
  return decided(unit, plan, outputs);
}

function withFinished(unit: DecidedUnit): DecidedUnit {
  const { plan, outputs } = unit;
  const failure = outputs === null ? plan.view.failure : null;
  return { ...unit, finished: { fromSequence: plan.fromSequence, outputs, failure } };
}

/** Returns the steps that a plan claims, with the capacity reserved for them. */
export function claimedSteps({ plan, loaded }: DecidedUnit): ReservedStep[] {
  const claimed: ReservedStep[] = [];
  for (const [slot, change] of plan.steps) if (change.claimed) claimed.push({ loaded, slot });
  return claimed;
}
