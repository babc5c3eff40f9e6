/**
 * The executions in this process's memory, and those with something to commit.
 */

import { TurnQueue } from '../core/fairness/turn-queue.ts';
import type { Plan } from '../core/plan.ts';
import { isParked, isWaiting, type ViewKey, viewKey } from '../core/view.ts';
import { KeptPayloads } from '../payload/kept-payloads.ts';
import { Actor, type Mail } from './actor.ts';
import { interruptsOutput } from './output-evaluation.ts';
import { hasLargePayload, MAX_PAYLOAD, payloadLength, takeUnit, type Unit } from './unit.ts';

/** Idle executions beyond this number are evicted. */
const MAX_ACTORS = 20_000;
/** Views of which nothing goes on until something comes from outside: beyond this number the oldest are evicted. */
const MAX_PARKED = 1_000;
/** Events of one commit: enough to be worth a round trip, few enough for a quick answer. */
const MAX_EVENTS = 1_000;
/** Characters of inputs and outputs kept in memory for the steps that follow. */
const MAX_KEPT = 64 * 1024 * 1024;
/** Scanning all actors is slow and may free nothing. */
const ROOM_PAUSE_MS = 100;

export class Actors {
  readonly #actors = new Map<string, Actor>();
  readonly #dirty = new Set<Actor>();
  /** The oldest first. Some of them may be under way again. */
  readonly #parked = new Set<Actor>();
  readonly #kept = { length: 0, most: MAX_KEPT, makeRoom: () => this.#makeRoom() };
  /** Time of the last eviction, of performance.now(). */
  #madeRoomAt = Number.NEGATIVE_INFINITY;

  get size(): number {
    return this.#actors.size;
  }

  /** Characters cached by all executions together. */
  get keptLength(): number {
    return this.#kept.length;
  }

  /** Returns whether no event waits for a commit and no commit is in flight. */
  get isQuiet(): boolean {
    return this.#dirty.size === 0 && ![...this.#actors.values()].some(({ busy }) => busy);
  }

  find(key: ViewKey): Actor | undefined {
    return this.#actors.get(key);
  }

  /** Returns the actor of a view, created when there is none. */
  get(key: ViewKey): Actor {
    let actor = this.#actors.get(key);
    if (actor === undefined) {
      actor = new Actor(key, new KeptPayloads(this.#kept));
      this.#actors.set(key, actor);
    }
    return actor;
  }

  /** Returns a new actor in place of the one there was, whose view is of an earlier run. */
  renew(key: ViewKey): Actor {
    const before = this.#actors.get(key);
    if (before !== undefined) this.#forget(before);
    return this.get(key);
  }

  /** Returns an actor that is in no table: a place for payloads that are read. */
  detached(key: ViewKey): Actor {
    return new Actor(key, new KeptPayloads(this.#kept));
  }

  /** Puts an event into the mailbox of its view. */
  post(key: ViewKey, mail: Mail): void {
    const actor = this.get(key);
    actor.mailbox.push(mail);
    if (actor.evaluation !== null && interruptsOutput(mail.event)) actor.interrupt(actor.evaluation);
    this.mark(actor);
  }

  /** Includes the execution in the next commit that can take it. */
  mark(actor: Actor): void {
    this.#dirty.add(actor);
  }

  /** Frees the actor for its next commit, which follows when events arrived meanwhile. */
  free(actor: Actor): void {
    actor.free();
    if (actor.mailbox.length > 0) this.#dirty.add(actor);
  }

  /** Executions that wait for hours must not take the memory of those that run. */
  #makeRoom(): void {
    const now = performance.now();
    if (now - this.#madeRoomAt < ROOM_PAUSE_MS) return;
    this.#madeRoomAt = now;
    for (const actor of this.#actors.values()) {
      if (this.#kept.length <= MAX_KEPT / 2) return;
      if (!actor.isUnderWay) actor.kept.letGo();
    }
  }

  /** Forgets an execution that is over, unless new events arrived. */
  drop(actor: Actor): void {
    if (actor.mailbox.length === 0) this.#forget(actor);
  }

  #forget(actor: Actor): void {
    actor.kept.end();
    this.#parked.delete(actor);
    // A forgotten actor may have a successor by now.
    if (this.#actors.get(actor.key) === actor) this.#actors.delete(actor.key);
  }

  /** Takes marked executions that are not in a commit: those with large outputs, or the others. */
  collect(isLarge: boolean): Unit[] {
    const units: Unit[] = [];
    let events = 0;
    let output = 0;
    for (const actor of this.#waiting(isLarge)) {
      if (events >= MAX_EVENTS || output >= MAX_PAYLOAD) break;
      this.#dirty.delete(actor);
      let count = 0;
      for (; count < actor.mailbox.length && output < MAX_PAYLOAD; count += 1)
        output += payloadLength(actor.mailbox[count]!.event);
      events += count;
      // Events beyond the limit go with the next commit: the actor is marked again when it is free.
      units.push(takeUnit(actor, actor.mailbox.splice(0, count)));
    }
    return units;
  }

  /** Returns executions for the next commit; workspaces take turns when it cannot take all. */
  #waiting(isLarge: boolean): Iterable<Actor> {
    const fitting: Actor[] = [];
    for (const actor of this.#dirty)
      if (!actor.busy && hasLargePayload(actor.mailbox) === isLarge && !this.#waitsForHolder(actor))
        fitting.push(actor);
    return !isLarge && fitting.length <= MAX_EVENTS ? fitting : inTurns(fitting);
  }

  /** A scope that may end now waits for a commit of its holder, so that its end goes along with the next one. */
  #waitsForHolder({ loaded, mailbox, executionId }: Actor): boolean {
    const scope = loaded?.view.scope;
    if (scope == null || loaded!.view.graph.size - loaded!.view.settledCount > mailbox.length) return false;
    return this.find(viewKey(executionId, scope.around))?.busy === true;
  }

  /** The view waits for something from outside, perhaps for weeks: it holds no memory meanwhile. */
  park(actor: Actor): void {
    this.#parked.delete(actor);
    this.#parked.add(actor);
    if (this.#parked.size <= MAX_PARKED) return;
    const [oldest] = this.#parked;
    this.#parked.delete(oldest!);
    if (!oldest!.isUnderWay && oldest!.weight === 0 && isParkedNow(oldest!)) this.#forget(oldest!);
  }

  /** Keeps the table bounded: evicted executions are loaded again when needed. */
  trim(): void {
    if (this.#actors.size <= MAX_ACTORS) return;
    for (const actor of this.#actors.values()) {
      if (actor.isUnderWay || actor.weight > 0) continue;
      this.#forget(actor);
      if (this.#actors.size <= MAX_ACTORS / 2) return;
    }
  }
}

function* inTurns(actors: readonly Actor[]): Iterable<Actor> {
  const turns = new TurnQueue<Actor>();
  for (const actor of actors) turns.push(actor.loaded?.workspaceId ?? '', actor);
  for (let next = turns.pop(); next !== undefined; next = turns.pop()) yield next;
}

function isParkedNow({ loaded }: Actor): boolean {
  return loaded === null || isParked(loaded.view);
}

/**
 * Returns whether nothing goes on in the view of a plan until something comes from outside. Looked at only when the plan has made
 * a step wait for that, without a timer, or has changed none.
 */
export function isParkedBy({ steps, view }: Plan): boolean {
  if (steps.size === 0) return isParked(view);
  for (const { state } of steps.values()) if (isWaiting(state)) return isParked(view);
  return false;
}
