/**
 * Loads views under locks: of executions, and of scopes, with what waits for them in their inbox.
 *
 * Executions are locked by id, then scopes by depth. Their rows are read after the locks, so that they show every commit
 * before.
 */
import type { Event } from '../core/event.ts';
import type { Graph } from '../core/graph.ts';
import { EngineError } from '../core/problem.ts';
import { isFinalExecution } from '../core/status.ts';
import {
  type ExecutionView,
  type ScopeId,
  type ScopeRef,
  scopeOf,
  type ViewKey,
  viewKey,
} from '../core/view.ts';
import { readOutputsOfChildren } from '../db/children/end.ts';
import type { Tx } from '../db/connection/client.ts';
import { readInbox } from '../db/scopes/inbox.ts';
import { type LoadedScope, lockScopes, readScopes } from '../db/scopes/scope.ts';
import {
  existingExecutions,
  type LoadedExecution,
  lockExecutions,
  readExecutions,
} from '../db/workflow-execution.ts';
import { type LoadedStep, loadScopeSteps, loadSteps } from '../db/workflow-step-execution.ts';
import { viewOf } from '../template/stored-view.ts';
import type { TemplateVersions } from '../template/versions.ts';
import { type Actor, type ExecutionFacts, Loaded, type Mail } from './actor.ts';
import type { Actors } from './actors.ts';
import type { Capacity } from './capacity.ts';
import { readWhetherChildrenAreOpen } from './children/left-behind.ts';
import { completedChildren, eventsFrom, toldByParent } from './scopes/inbox-events.ts';
import { placeOf, rowOfScope, withHeld } from './scopes/stored-scope.ts';
import type { LoadedUnit, Unit } from './unit.ts';
import type { Unloadable } from './unloadable.ts';

/** The rows of one view. */
interface ViewRows {
  readonly execution: LoadedExecution;
  /** Null: the top level. */
  readonly scope: LoadedScope | null;
  readonly steps: readonly LoadedStep[];
}

export class ViewLoader {
  readonly #actors: Actors;
  readonly #capacity: Capacity;
  readonly #versions: TemplateVersions;

  constructor(
    { actors, capacity }: { readonly actors: Actors; readonly capacity: Capacity },
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
    const present: LoadedUnit[] = [];
    for (const unit of units) {
      const rows = found.get(unit.actor.key);
      if (locked.has(unit.actor.key)) unloadable.locked!.push(unit);
      else if (rows === undefined) unloadable.missing.push(unit);
      else {
        const loaded = await this.#loadUnit(tx, unit, rows);
        if (!(loaded instanceof Error)) present.push(loaded);
        else if (isFinalExecution((rows.scope ?? rows.execution).status)) unloadable.missing.push(unit);
        else unloadable.unreadable.push({ unit, error: loaded });
      }
    }
    await readWhetherChildrenAreOpen(tx, present, false);
    return this.#withInbox(tx, present);
  }

  /** Returns an error when this engine cannot read the execution. */
  async #loadUnit(tx: Tx, unit: Unit, rows: ViewRows): Promise<LoadedUnit | Error> {
    try {
      const loaded = await this.#loadActor(tx, unit.actor, rows);
      const queued = loaded.view.steps.flatMap((state) => (state?.status === 'queued' ? state.slot : []));
      this.#capacity.offer(loaded, queued);
      const { actor, finished } = unit;
      const mails = [...this.#orphans(unit, loaded.view), ...unit.mails];
      return { actor, mails, start: null, finished, loaded };
    } catch (error) {
      if (error instanceof EngineError) return error;
      throw error;
    }
  }

  async #loadActor(tx: Tx, actor: Actor, { execution, scope, steps }: ViewRows): Promise<Loaded> {
    const version = await this.#versions.get(tx, execution.templateId);
    const stored = version.graphs.length === 1 ? steps : await withHeld(tx, version, steps);
    const { workspaceId, priority, callbackUrl, parent } = execution;
    if (scope === null) {
      const loaded = actor.load(
        { version, workspaceId, priority, callbackUrl, parent },
        viewOf(version, execution, stored),
      );
      if (execution.runMs !== null) loaded.begunAt = performance.now() - execution.runMs;
      return loaded;
    }
    const place = await placeOf(tx, version, scope);
    const view = viewOf(version, rowOfScope(scope), stored, place.scope, place.graph);
    const facts = { version, workspaceId, priority, callbackUrl: null, parent: null };
    return actor.load(facts, view, await this.#around(tx, execution, facts, place.scope));
  }

  /** Returns the view around a scope, as it is in memory, or read for the data of its steps: nothing is decided on it. */
  async #around(
    tx: Tx,
    execution: LoadedExecution,
    facts: ExecutionFacts,
    { around: scope, holderSlot }: ScopeRef,
  ): Promise<Loaded> {
    const actors = this.#actors;
    const key = viewKey(execution.id, scope);
    const known = actors.find(key)?.loaded;
    if (known != null && known.view.steps[holderSlot] !== undefined) return known;
    const { version } = facts;
    const steps =
      scope === null
        ? await loadSteps(tx, [execution.id])
        : await loadScopeSteps(tx, [{ executionId: execution.id, path: scope.path }]);
    const graph = graphAround(version.graph, scope);
    const row = { ...execution, status: 'running' as const, stopRequested: null, failure: null };
    const view = viewOf(version, row, steps, scope, graph);
    const outer = scope === null ? null : await this.#around(tx, execution, facts, scope);
    return new Loaded(actors.detached(key), facts, view, outer);
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
    return units.map((unit) => {
      const own = byKey.get(unit.actor.key);
      if (own === undefined) return unit;
      // A parent's word is an event like one from outside: a stop looks at what is below before it is decided.
      const told = toldByParent(own).map((event) => ({ event, settle: null }));
      const inbox = { ids: own.map(({ id }) => id), events: eventsFrom(unit, own, outputs) };
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
        event.slot === slot &&
        event.claim.attempt === attempt &&
        event.claim.owner === claim.owner &&
        (event.claim.stepId ?? state.id) === state.id;
      if (!waiting.some(isOfClaim)) orphans.push({ event: { type: 'release', slot, claim }, settle: null });
    }
    return orphans;
  }
}

interface LockedViews {
  readonly found: ReadonlyMap<ViewKey, ViewRows>;
  /** Views that are locked elsewhere. */
  readonly locked: ReadonlySet<ViewKey>;
}

async function lockAndRead(tx: Tx, keys: readonly ViewKey[], passOver: boolean): Promise<LockedViews> {
  const scopeIds = keys.flatMap((key) => scopeOf(key) ?? []);
  const top = await lockAndReadTop(
    tx,
    scopeIds.length === 0 ? keys : keys.filter((key) => scopeOf(key) === null),
    passOver,
  );
  if (scopeIds.length === 0) return top;
  const scopes = await lockScopes(tx, scopeIds, passOver);
  const executions = await readExecutions(tx, [...new Set(scopes.map(({ executionId }) => executionId))]);
  const byId = new Map(executions.map((execution) => [execution.id, execution]));
  const byPath = Map.groupBy(await loadScopeSteps(tx, scopes), pathKey);
  const found = new Map(top.found);
  for (const scope of scopes) {
    const execution = byId.get(scope.executionId);
    if (execution === undefined) continue;
    const steps = byPath.get(pathKey({ executionId: scope.executionId, scope: scope.path })) ?? [];
    found.set(viewKey(scope.executionId, scope), { execution, scope, steps });
  }
  const left = passOver ? scopeIds.filter((id) => !scopes.some((scope) => isSame(id, scope))) : [];
  const there = await readScopes(tx, left);
  const locked = there.map((scope) => viewKey(scope.executionId, scope));
  return { found, locked: new Set([...top.locked, ...locked]) };
}

async function lockAndReadTop(tx: Tx, ids: readonly string[], passOver: boolean): Promise<LockedViews> {
  if (ids.length === 0) return { found: new Map(), locked: new Set() };
  const executions = new Map((await lockExecutions(tx, ids, passOver)).map((row) => [row.id, row]));
  const left = passOver ? ids.filter((id) => !executions.has(id)) : [];
  const locked = await existingExecutions(tx, left);
  const steps = Map.groupBy(await loadSteps(tx, [...executions.keys()]), ({ executionId }) => executionId);
  const found = new Map<ViewKey, ViewRows>();
  for (const [id, execution] of executions)
    found.set(id, { execution, scope: null, steps: steps.get(id) ?? [] });
  return { found, locked };
}

function graphAround(top: Graph, scope: ScopeRef | null): Graph {
  if (scope === null) return top;
  return graphAround(top, scope.around).inner[scope.holderSlot]![scope.part]!;
}

/** Returns whether others may have events for the view: its scopes, its children, or its parent. */
function mayHaveMail({ loaded: { view, version, facts } }: LoadedUnit): boolean {
  return version.waitsForChildren || facts.parent !== null || view.steps.some((state) => state?.held != null);
}

function pathKey({ executionId, scope }: { executionId: string; scope: string }): string {
  return `${executionId}/${scope}`;
}

function isSame(a: ScopeId, b: ScopeId): boolean {
  return a.holderId === b.holderId && a.index === b.index;
}
