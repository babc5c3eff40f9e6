/**
 * Decides a batch of units and claims what is ready: the eager frontier.
 *
 * The commit that makes a step ready claims it for this process as far as there are free slots, in the order
 * of the ready queue, so the whole frontier goes level by level and only what is left over becomes a job.
 */
import { emptyPlan } from '../core/plan.ts';
import { claimWithin } from '../core/transition.ts';
import type { Outputs } from '../payload/execution-output.ts';
import type { Actor } from './actor.ts';
import type { ActorTable } from './actors.ts';
import type { Claims } from './slots.ts';
import { decideUnit, newUnit, type Unit } from './unit.ts';

export interface DeciderOptions {
  readonly actors: ActorTable;
  readonly claims: Claims;
  readonly outputs: Outputs;
  /** A unit whose outputs took time can be written now. */
  onReady(unit: Unit): void;
  /** A unit could not be decided. */
  onError(unit: Unit, error: unknown): void;
}

/** Ready steps of other executions that one commit looks past before it leaves them to the next. */
const MAX_PASSED_OVER = 1_000;

export class Decider {
  readonly #options: DeciderOptions;

  constructor(options: DeciderOptions) {
    this.#options = options;
  }

  /**
   * Decides units and claims what is ready, in the order of the ready queue: also steps of executions that
   * had no event, unless `onlyThese`. Returns the units to be written; those whose outputs take time come
   * with a later commit.
   */
  decide(units: readonly Unit[], onlyThese = false): Unit[] {
    const { claims } = this.#options;
    const ready: Unit[] = [];
    const byActor = new Map<Actor, Unit>();
    for (const unit of units) {
      if (!this.#decideOne(unit)) continue;
      ready.push(unit);
      byActor.set(unit.actor, unit);
      if (unit.plan!.begun) claims.admit(unit.actor);
      claims.offer(unit.actor, unit.plan!.ready);
    }
    this.#claimReady(ready, byActor, onlyThese);
    return ready;
  }

  /** Returns whether the unit can be written now. */
  #decideOne(unit: Unit): boolean {
    const { claims, outputs, onReady, onError } = this.#options;
    const { start } = unit;
    const begins =
      start !== null &&
      start.row.startAfter === null &&
      claims.hasRoom(start.version.graph, start.row.workspaceId);
    try {
      const later = decideUnit(unit, begins, outputs);
      if (later === null) return true;
      later.then(() => onReady(unit));
    } catch (error) {
      // Half of a decision is none.
      unit.actor.view = null;
      onError(unit, error);
    }
    return false;
  }

  #claimReady(ready: Unit[], byActor: Map<Actor, Unit>, onlyThese: boolean): void {
    const { claims, actors } = this.#options;
    const others: { actor: Actor; position: number }[] = [];
    for (let next = claims.take(); next !== null; next = claims.take()) {
      const { position } = next;
      const actor = actors.get(next.actor.id);
      const unit = byActor.get(actor) ?? (onlyThese ? undefined : this.#joinBatch(actor, ready, byActor));
      if (unit === undefined) others.push({ actor, position });
      if (unit === undefined || !claimWithin(unit.plan!, position, claims.owner))
        claims.refund(next.actor, position);
      if (unit === undefined && others.length > MAX_PASSED_OVER) break;
    }
    for (const { actor, position } of others) this.#offerLater(actor, position);
  }

  /** Takes an execution that nothing happened to into the batch, for the sake of a claim. */
  #joinBatch(actor: Actor, ready: Unit[], byActor: Map<Actor, Unit>): Unit | undefined {
    if (actor.busy || actor.view === null) return undefined;
    actor.busy = true;
    const unit = newUnit(actor, []);
    unit.plan = emptyPlan(actor.view);
    ready.push(unit);
    byActor.set(actor, unit);
    return unit;
  }

  /** The step comes back into the ready queue when its execution's commit is through. */
  #offerLater(actor: Actor, position: number): void {
    if (!actor.busy && actor.view !== null) {
      this.#options.claims.offer(actor, [position]);
      return;
    }
    actor.held.push(position);
    if (!actor.busy) this.#options.actors.mark(actor);
  }
}
