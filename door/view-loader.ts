/**
 * Loads views under locks: of executions, and of scopes, with what waits for them in their inbox. The number of statements does not
 * grow with the number of views.
 */

import { isOver } from '../core/ending.ts';
import type { Event } from '../core/event.ts';
import { EngineError } from '../core/problem.ts';
import { isFinalExecution } from '../core/status.ts';
import { type ExecutionView, executionOf } from '../core/view.ts';
import { readOutputsOfChildren } from '../db/children/end.ts';
import type { Tx } from '../db/connection/client.ts';
import { readInbox } from '../db/scopes/inbox.ts';
import { type StoredStep, viewOf } from '../template/stored-view.ts';
import type { TemplateVersion } from '../template/version.ts';
import type { TemplateVersions } from '../template/versions.ts';
import type { Actor, Loaded, Mail } from './actor.ts';
import type { Actors } from './actors.ts';
import type { Capacity } from './capacity.ts';
import { readWhetherChildrenAreOpen } from './children/left-behind.ts';
import { childrenInPlace } from './control/children-in-place.ts';
import { completedChildren, eventsFrom, isRetry, toldByParent } from './scopes/inbox-events.ts';
import { type Place, Places, readHeld, rowOfScope } from './scopes/stored-scope.ts';
import { Surroundings } from './scopes/surroundings.ts';
import type { LoadedUnit, Unit } from './unit.ts';
import type { Unloadable } from './unloadable.ts';
import { lockAndRead, type ViewRows } from './view-rows.ts';

/** The rows of a unit, with what they mean in its template. */
interface Readable extends ViewRows {
  readonly unit: Unit;
  readonly version: TemplateVersion;
  /** Null: the top level. */
  readonly place: Place | null;
}

/** Rows that this engine cannot read. */
interface Unreadable extends ViewRows {
  readonly unit: Unit;
  readonly error: EngineError;
}

/** Where steps run that the views show as ready. */
type LoaderCapacity = Pick<Capacity, 'owner' | 'offer' | 'holds'>;

export class ViewLoader {
  readonly #actors: Actors;
  readonly #capacity: LoaderCapacity;
  readonly #versions: TemplateVersions;

  constructor(
    { actors, capacity }: { readonly actors: Actors; readonly capacity: LoaderCapacity },
    versions: TemplateVersions,
  ) {
    this.#actors = actors;
    this.#capacity = capacity;
    this.#versions = versions;
  }

  /** Locks and loads the units' views. */
  async load(tx: Tx, units: readonly Unit[], unloadable: Unloadable): Promise<LoadedUnit[]> {
    if (units.length === 0) return [];
    const keys = units.map(({ actor }) => actor.key);
    const { found, locked } = await lockAndRead(tx, keys, unloadable.locked !== null);
    const there: (ViewRows & { readonly unit: Unit })[] = [];
    for (const unit of units) {
      const rows = found.get(unit.actor.key);
      if (locked.has(unit.actor.key)) unloadable.locked!.push(unit);
      else if (rows === undefined) unloadable.missing.push(unit);
      else there.push({ unit, ...rows });
    }
    const present: LoadedUnit[] = [];
    for (const loaded of await this.#loadAll(tx, there)) {
      if (!('error' in loaded)) present.push(loaded);
      else if (isFinalExecution((loaded.scope ?? loaded.execution).status))
        unloadable.missing.push(loaded.unit);
      else unloadable.unreadable.push(loaded);
    }
    const loadedUnits = await this.#withInbox(tx, present);
    // After the inbox: the end of a child whose row is in it must be seen here.
    await readWhetherChildrenAreOpen(tx, loadedUnits, false);
    return loadedUnits;
  }

  async #loadAll(
    tx: Tx,
    there: readonly (ViewRows & { readonly unit: Unit })[],
  ): Promise<(LoadedUnit | Unreadable)[]> {
    const inner = there.flatMap(({ scope }) => scope ?? []);
    const places = inner.length === 0 ? null : await Places.around(tx, inner);
    const all: (Readable | Unreadable)[] = [];
    for (const rows of there) {
      const { execution, scope } = rows;
      const meaning = await orRefusal(async () => {
        const version = await this.#versions.get(tx, execution.templateId);
        return { version, place: scope === null ? null : places!.of(version, scope) };
      });
      all.push(meaning instanceof EngineError ? { ...rows, error: meaning } : { ...rows, ...meaning });
    }
    const readable = all.filter((rows): rows is Readable => !('error' in rows));
    const withHeld = await readHeld(tx, readable);
    const surroundings = await Surroundings.read(
      tx,
      this.#actors,
      readable.flatMap(({ execution, place }) => (place === null ? [] : { execution, scope: place.scope })),
    );
    return all.map((rows) => {
      if ('error' in rows) return rows;
      const unit = orRefusalOf(() => this.#loadUnit(rows, withHeld(rows.steps), surroundings));
      return unit instanceof EngineError ? { ...rows, error: unit } : unit;
    });
  }

  #loadUnit(rows: Readable, steps: readonly StoredStep[], surroundings: Surroundings): LoadedUnit {
    const { unit } = rows;
    const loaded = loadActor(unit.actor, rows, steps, surroundings);
    const queued = loaded.view.steps.flatMap((state) => (state?.status === 'queued' ? state.slot : []));
    if (loaded.view.status !== 'paused') this.#capacity.offer(loaded, queued);
    const { actor, finished } = unit;
    const mails = [...this.#orphans(unit, loaded.view), ...unit.mails];
    return { actor, mails, start: null, finished, loaded };
  }

  /** Returns the units with the events that wait for them, each with the rows to delete. */
  async #withInbox(tx: Tx, units: readonly LoadedUnit[]): Promise<LoadedUnit[]> {
    const holding = units.filter(mayHaveMail);
    if (holding.length === 0) return [...units];
    const rows = await readInbox(
      tx,
      holding.map(({ actor }) => actor.key),
    );
    const outputs = await readOutputsOfChildren(tx, completedChildren(rows));
    const byKey = Map.groupBy(rows, ({ key }) => key);
    const children = new Map<LoadedUnit, ReadonlyMap<number, string>>();
    for (const unit of units)
      if (byKey.get(unit.actor.key)?.some(isRetry))
        children.set(unit, await childrenInPlace(tx, unit.loaded));
    return units.map((unit) => {
      const own = byKey.get(unit.actor.key);
      if (own === undefined) return unit;
      // A parent's word is an event like one from outside: a stop looks at what is below before it is decided.
      const { parent } = unit.loaded.facts;
      const words = parent === null ? [] : toldByParent(own, executionOf(parent.view), children.get(unit));
      const told = words.map((event) => ({ event, settle: null }));
      const inbox = {
        ids: own.map(({ id }) => id),
        events: eventsFrom(unit.loaded.view, own, outputs),
        isLocked: true,
      };
      return { ...unit, mails: [...told, ...unit.mails], inbox };
    });
  }

  /**
   * Returns releases of claims of this process that it does not know: made by a commit whose answer was lost. An actor that was
   * replaced while it was busy knows none of the claims of its successor, and gives nothing back.
   */
  #orphans({ actor, mails }: Unit, view: ExecutionView): Mail[] {
    if ((this.#actors.find(actor.key) ?? actor) !== actor) return [];
    const capacity = this.#capacity;
    const waiting = [...mails, ...actor.mailbox].map(({ event }) => event);
    const orphans: Mail[] = [];
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
        (event.claim.stepId === undefined ? event.slot === slot : event.claim.stepId === state.id) &&
        event.claim.attempt === attempt &&
        event.claim.owner === claim.owner;
      if (!waiting.some(isOfClaim)) orphans.push({ event: { type: 'release', slot, claim }, settle: null });
    }
    return orphans;
  }
}

function loadActor(
  actor: Actor,
  { execution, scope, version, place }: Readable,
  steps: readonly StoredStep[],
  surroundings: Surroundings,
): Loaded {
  const { workspaceId, priority, callbackUrl, parent, resumes } = execution;
  actor.resumed(resumes);
  if (scope === null || place === null) {
    const loaded = actor.load(
      { version, workspaceId, priority, callbackUrl, parent },
      viewOf(version, execution, steps),
    );
    if (execution.runMs !== null) loaded.begunAt = performance.now() - execution.runMs;
    return loaded;
  }
  const view = viewOf(
    version,
    rowOfScope(scope, execution.status === 'paused'),
    steps,
    place.scope,
    place.graph,
  );
  const facts = { version, workspaceId, priority, callbackUrl: null, parent: null };
  return actor.load(facts, view, surroundings.of(execution, facts, place.scope));
}

/** Returns the error instead of throwing it when the rows cannot be read by this engine. */
async function orRefusal<T>(read: () => Promise<T>): Promise<T | EngineError> {
  return read().catch(refusal);
}

function orRefusalOf<T>(read: () => T): T | EngineError {
  try {
    return read();
  } catch (error) {
    return refusal(error);
  }
}

function refusal(error: unknown): EngineError {
  if (error instanceof EngineError) return error;
  throw error;
}

/** Returns whether others may have events for the view: its scopes, its children, its parent, or a retry. */
function mayHaveMail({ loaded: { view, version, facts } }: LoadedUnit): boolean {
  if (version.waitsForChildren || facts.parent !== null) return true;
  // A retry has opened a scope again in which nothing is left to do.
  if (view.scope !== null && view.status === 'running' && isOver(view)) return true;
  return view.steps.some((state) => state?.held != null);
}
