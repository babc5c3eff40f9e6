/**
 * The views around scopes. A scope reads data of the steps around it; nothing is decided on such a view. Those that are not in
 * memory are read for all scopes of a commit at once.
 */
import type { Graph } from '../../core/graph.ts';
import { type ScopeRef, type ViewKey, viewKey } from '../../core/view.ts';
import type { Db } from '../../db/connection/client.ts';
import type { LoadedExecution } from '../../db/workflow-execution.ts';
import { type LoadedStep, loadScopeSteps, loadSteps } from '../../db/workflow-step-execution.ts';
import { viewOf } from '../../template/stored-view.ts';
import { type ExecutionFacts, Loaded } from '../actor.ts';
import type { Actors } from '../actors.ts';

/** A scope whose surroundings are wanted. */
export interface Surrounded {
  readonly execution: LoadedExecution;
  readonly scope: ScopeRef;
}

interface Around {
  readonly executionId: string;
  /** Null: the top level. */
  readonly scope: ScopeRef | null;
}

export class Surroundings {
  readonly #actors: Pick<Actors, 'find' | 'detached'>;
  /** Steps of the views that were read. */
  readonly #steps = new Map<ViewKey, readonly LoadedStep[]>();
  readonly #read = new Map<ViewKey, Loaded>();
  /** Views that were in memory: they may leave it meanwhile. */
  readonly #known = new Map<ViewKey, Loaded>();

  private constructor(actors: Pick<Actors, 'find' | 'detached'>) {
    this.#actors = actors;
  }

  static async read(
    db: Db,
    actors: Pick<Actors, 'find' | 'detached'>,
    all: readonly Surrounded[],
  ): Promise<Surroundings> {
    const surroundings = new Surroundings(actors);
    const missing = new Map<ViewKey, Around>();
    for (const { execution, scope } of all) surroundings.#collect(execution, scope, missing);
    if (missing.size > 0) await surroundings.#readSteps(db, [...missing]);
    return surroundings;
  }

  /** Returns the view around a scope. @throws EngineError when its rows do not match the definition */
  of(
    execution: LoadedExecution,
    facts: ExecutionFacts,
    { around: scope, holderSlot }: Pick<ScopeRef, 'around' | 'holderSlot'>,
  ): Loaded {
    const key = viewKey(execution.id, scope);
    const known = this.#inMemory(key, holderSlot, execution) ?? this.#read.get(key);
    if (known !== undefined) return known;
    const steps = this.#steps.get(key);
    if (steps === undefined) return this.#known.get(key)!;
    const graph = graphAround(facts.version.graph, scope);
    const row = { ...execution, status: 'running' as const, stopRequested: null, failure: null };
    const view = viewOf(facts.version, row, steps, scope, graph);
    const outer = scope === null ? null : this.of(execution, facts, scope);
    const loaded = new Loaded(this.#actors.detached(key), facts, view, outer);
    this.#read.set(key, loaded);
    return loaded;
  }

  /** Returns the view if it is in memory, of the version, knows the holder, and is not of before a retry. */
  #inMemory(
    key: ViewKey,
    holderSlot: number,
    { resumes, templateId }: Pick<LoadedExecution, 'resumes' | 'templateId'>,
  ): Loaded | undefined {
    const actor = this.#actors.find(key);
    const loaded = actor?.loaded ?? undefined;
    const isPresent = actor?.resumes === resumes && loaded?.version.id === templateId;
    return isPresent && loaded.view.steps[holderSlot] !== undefined ? loaded : undefined;
  }

  #collect(
    execution: LoadedExecution,
    { around, holderSlot }: ScopeRef,
    missing: Map<ViewKey, Around>,
  ): void {
    const { id: executionId } = execution;
    const key = viewKey(executionId, around);
    if (missing.has(key)) return;
    const known = this.#inMemory(key, holderSlot, execution);
    if (known !== undefined) {
      this.#known.set(key, known);
      return;
    }
    missing.set(key, { executionId, scope: around });
    if (around !== null) this.#collect(execution, around, missing);
  }

  async #readSteps(db: Db, missing: readonly (readonly [ViewKey, Around])[]): Promise<void> {
    const tops = missing.filter(([, { scope }]) => scope === null).map(([key]) => key);
    const inner = missing.flatMap(([key, { executionId, scope }]) =>
      scope === null ? [] : { key, executionId, path: scope.path },
    );
    const byExecution = Map.groupBy(
      tops.length === 0 ? [] : await loadSteps(db, tops),
      ({ executionId }) => executionId,
    );
    for (const key of tops) this.#steps.set(key, byExecution.get(key) ?? []);
    const byPath = Map.groupBy(await loadScopeSteps(db, inner), ({ executionId, scope }) =>
      pathKey(executionId, scope),
    );
    for (const { key, executionId, path } of inner)
      this.#steps.set(key, byPath.get(pathKey(executionId, path)) ?? []);
  }
}

function pathKey(executionId: string, path: string): string {
  return `${executionId}/${path}`;
}

function graphAround(top: Graph, scope: ScopeRef | null): Graph {
  if (scope === null) return top;
  return graphAround(top, scope.around).inner[scope.holderSlot]![scope.part]!;
}
