/**
 * One round of decisions: each unit is decided once. With scopes the deepest are decided first, so that the end of a
 * scope goes along to its holder in the same commit, and the holder opens the next scopes in it.
 *
 * Invariant 1: the end of a scope is heard by a unit of the same commit, or is in the outbox of its own unit.
 * Invariant 2: a unit that ends scopes below it, or leaves children behind, is not in a commit with others: it locks more
 * views after its own, or looks for children once its own is locked.
 */

import type { Event } from '../../core/event.ts';
import { changesHold } from '../../core/hold/held-back.ts';
import { partOf } from '../../core/scopes/held-scopes.ts';
import { type OutgoingEvent, outboxOf } from '../../core/scopes/outbox.ts';
import { runPath } from '../../core/scopes/step-path.ts';
import { emptyView, type ViewKey, viewKey } from '../../core/view.ts';
import type { Actor, Loaded } from '../actor.ts';
import type { ReadyBy } from '../capacity.ts';
import { type DecidedUnit, type LoadedUnit, leftBy, type Unit } from '../unit.ts';

/** How views are locked. `alone`: a unit that ends scopes below it is the only one. */
export type Locked = 'together' | 'alone';

export interface RoundOptions {
  readonly actors: {
    find(key: ViewKey): Actor | undefined;
    /** Returns a new actor in place of the one there was. */
    renew(key: ViewKey): Actor;
    free(actor: Actor): void;
  };
  readonly locked: Locked | undefined;
  /** The engine's id. */
  readonly self: string;
  /** Returns null when the unit is not written now. */
  decideOne(unit: LoadedUnit, heard: readonly Event[]): DecidedUnit | null;
  accept(unit: DecidedUnit, by: ReadyBy): void;
}

/** The end of a scope, on its way to the holder. */
interface Heard {
  readonly sender: DecidedUnit;
  readonly outgoing: OutgoingEvent;
}

/** Returns whether the unit is of a scope, or of an execution whose steps hold some. */
export function hasToDoWithScopes({ loaded }: LoadedUnit): boolean {
  return loaded.version.graphs.length > 1;
}

/** Returns whether the unit locks or looks for more than its own view, once it is decided: it is committed alone. */
export function isAlone(unit: DecidedUnit): boolean {
  return (unit.plan.scopes?.endedBelow.size ?? 0) > 0 || leftBy(unit) !== null || changesHold(unit.plan);
}

export class Round {
  readonly stale: Unit[] = [];
  readonly alone: Unit[] = [];
  readonly #options: RoundOptions;
  /** Units that are still to be decided, by their actors. */
  readonly #waiting = new Map<Actor, LoadedUnit>();
  readonly #byDepth: LoadedUnit[][] = [];
  readonly #heard = new Map<Actor, Heard[]>();

  constructor(options: RoundOptions) {
    this.#options = options;
  }

  /** @param finished units decided before, whose scopes may have ended */
  decideByDepth(units: readonly LoadedUnit[], finished: readonly DecidedUnit[]): void {
    for (const unit of units) this.#add(unit);
    for (const unit of finished) this.#send(unit);
    for (let depth = this.#byDepth.length - 1; depth >= 0; depth -= 1) {
      for (const unit of this.#byDepth[depth] ?? []) {
        this.#waiting.delete(unit.actor);
        this.#decide(unit);
      }
    }
  }

  /** Decides a unit of a definition without scopes. */
  decideFlat(unit: LoadedUnit): void {
    const { decideOne, accept } = this.#options;
    const decided = decideOne(unit, NOTHING);
    if (decided !== null && this.#mayBeWritten(decided, 0)) accept(decided, 'here');
  }

  /** Decides a unit; the scopes that it opens come with it. */
  #decide(unit: LoadedUnit): void {
    const { decideOne, accept } = this.#options;
    const heard = this.#heard.get(unit.actor) ?? [];
    const decided = decideOne(
      unit,
      heard.map(({ outgoing }) => outgoing.event),
    );
    if (decided === null || !this.#mayBeWritten(decided, heard.length)) {
      for (const { sender, outgoing } of heard) keep(sender, outgoing);
      return;
    }
    accept(decided, 'here');
    this.#send(decided);
    const by = decided.inbox === undefined ? 'here' : 'ends elsewhere';
    for (const { slot, index, run } of decided.plan.scopes?.opened ?? []) {
      const opened = decideOne(this.#open(decided.loaded, { slot, index, run }), [{ type: 'begin' }]);
      if (opened === null) continue;
      accept(opened, by);
      this.#send(opened);
    }
  }

  #mayBeWritten(unit: DecidedUnit, heard: number): boolean {
    const { locked, actors } = this.#options;
    const isApart = locked !== 'alone' && isAlone(unit);
    if (!isApart && (locked !== undefined || !this.#isStale(unit))) return true;
    unit.actor.forget();
    // Without events of its own it has nothing to decide: it hears of its scopes by the inbox.
    const hearsOnly = heard > 0 && unit.mails.length === 0 && unit.inbox === undefined;
    if (hearsOnly) actors.free(unit.actor);
    else if (isApart) this.alone.push(changesHold(unit.plan) ? { ...unit, changesHold: true } : unit);
    else this.stale.push(unit);
    return false;
  }

  /**
   * Returns whether the unit must be decided again under a lock: it has a late event of another engine's claim, a late answer
   * to a step, or late news of a scope. Other engines claim, park and open scopes independently of this process, so the view
   * in memory may be stale. A plan without changes would be committed with nothing that guards it.
   */
  #isStale({ plan }: DecidedUnit): boolean {
    const { self } = this.#options;
    if (plan.late.length === 0) return false;
    return plan.late.some(
      (event) =>
        isFromOutside(event) ||
        event.type === 'scopes_ended' ||
        event.type === 'scopes_undone' ||
        ('claim' in event && event.claim.owner !== self),
    );
  }

  #add(unit: LoadedUnit): void {
    const depth = depthOf(unit.loaded);
    this.#byDepth[depth] ??= [];
    this.#byDepth[depth].push(unit);
    this.#waiting.set(unit.actor, unit);
  }

  #send(sender: DecidedUnit): void {
    for (const outgoing of outboxOf(sender.plan, sender.outputs, Math.random())) {
      const holder = this.#options.actors.find(outgoing.key);
      if (holder === undefined || !this.#canHear(holder)) keep(sender, outgoing);
      else {
        const heard = this.#heard.get(holder);
        if (heard === undefined) this.#heard.set(holder, [{ sender, outgoing }]);
        else heard.push({ sender, outgoing });
      }
    }
  }

  /** A holder that waits for its scopes is taken into the commit. */
  #canHear(holder: Actor): boolean {
    if (this.#waiting.has(holder)) return true;
    const { loaded } = holder;
    if (this.#options.locked !== undefined || loaded === null || holder.busy) return false;
    holder.take();
    this.#add({ actor: holder, mails: [], start: null, finished: null, loaded });
    return true;
  }

  #open(around: Loaded, { slot, index, run }: { slot: number; index: number; run: number }): LoadedUnit {
    const { view, facts } = around;
    const { id, graph, steps } = view;
    const { id: holderId, held } = steps[slot]!;
    const part = partOf(held!, index);
    const path = runPath(view.scope, graph.steps[slot]!.key, index);
    const actor = this.#options.actors.renew(viewKey(id, { holderId, index }));
    actor.resumed(around.actor.resumes);
    actor.take();
    const scope = { path, around: view.scope, holderId, holderSlot: slot, index, part, run };
    const loaded = actor.load(
      { ...facts, callbackUrl: null, parent: null },
      emptyView(id, graph.inner[slot]![part]!, scope),
      around,
    );
    return { actor, mails: [], start: null, finished: null, loaded };
  }
}

const NOTHING: readonly Event[] = Object.freeze([]);

function keep(sender: DecidedUnit, outgoing: OutgoingEvent): void {
  sender.outbox ??= [];
  sender.outbox.push(outgoing);
}

/** How many scopes are around a view, its own included. */
function depthOf({ view: { scope } }: Loaded): number {
  let depth = 0;
  for (let around = scope; around !== null; around = around.around) depth += 1;
  return depth;
}

const FROM_OUTSIDE: ReadonlySet<Event['type']> = new Set([
  'answer',
  'claim_task',
  'pause',
  'resume',
  'close_incident',
]);

function isFromOutside({ type }: Event): boolean {
  return FROM_OUTSIDE.has(type);
}
