/**
 * The parameters of a step as its attempts get them. They are stored nowhere: what they read never changes, so they are
 * evaluated again.
 */
import { undoneBy } from '../../core/compensation/compensation.ts';
import { graphAt } from '../../core/graph.ts';
import { type ScopeRef, slotOf, viewKey } from '../../core/view.ts';
import type { Pool } from '../../db/connection/client.ts';
import { readScopes } from '../../db/scopes/scope.ts';
import { readResumption } from '../../db/step-payload.ts';
import { type LoadedExecution, readExecutions } from '../../db/workflow-execution.ts';
import { loadScopeSteps, loadSteps } from '../../db/workflow-step-execution.ts';
import { Actor, Loaded } from '../../door/actor.ts';
import { Places, rowOfScope } from '../../door/scopes/stored-scope.ts';
import { Surroundings } from '../../door/scopes/surroundings.ts';
import type { Evaluator } from '../../expression/evaluator.ts';
import { ExpressionError } from '../../expression/expression-error.ts';
import { gatherScope, type ScopeParts } from '../../payload/expression-scope.ts';
import { KeptPayloads } from '../../payload/kept-payloads.ts';
import { NotStorable, type OutputStore } from '../../payload/output-store.ts';
import { InputsTooLarge } from '../../payload/payload-reader.ts';
import type { ScopeSource } from '../../payload/scope-source.ts';
import { StepFailure } from '../../steps/step-type.ts';
import { viewOf } from '../../template/stored-view.ts';
import { type Caller, seesHooks } from '../caller.ts';
import type { FoundStep } from './answerer.ts';

export interface EvaluatedParamsParts {
  readonly pool: Pool;
  readonly evaluator: Evaluator;
  readonly source: ScopeSource;
  readonly store: OutputStore;
}

/** Nothing of these views is in memory, and nothing of them stays. */
const NO_ACTORS = {
  find: () => undefined,
  detached: (key: string) => new Actor(key, new KeptPayloads({ length: 0, most: Infinity, makeRoom() {} })),
};

export class EvaluatedParams {
  readonly #parts: EvaluatedParamsParts;

  constructor(parts: EvaluatedParamsParts) {
    this.#parts = parts;
  }

  /**
   * Returns them as JSON, masked. `null`: the step has not begun or has no parameters; the caller may not see a URL in them; or
   * they cannot be evaluated, or read more than an output may have.
   */
  async of(caller: Caller, found: FoundStep): Promise<string> {
    const { store } = this.#parts;
    const { params, validateParams, step, hooks } = found.version.steps[found.position]!;
    if (params === null || found.stored.attempt === 0) return 'null';
    if (hooks.length > 0 && !seesHooks(caller)) return 'null';
    try {
      const value = validateParams === null ? step.with : await this.#evaluate(found);
      return (await store.payload(value)).json;
    } catch (error) {
      if (cannotBeShown(error)) return 'null';
      throw error;
    }
  }

  async #evaluate(found: FoundStep): Promise<unknown> {
    const { evaluator } = this.#parts;
    const { version, position, stored } = found;
    const scope = await this.#scope(found);
    if (scope === null) return null;
    const { workspaceId: workspace, executionId: execution } = stored;
    return evaluator.evaluate(version.steps[position]!.params!, scope, { workspace, execution });
  }

  /** Returns the data that the step's expressions read; null: the execution was deleted meanwhile. */
  async #scope(found: FoundStep): Promise<ScopeParts | null> {
    const { pool, source } = this.#parts;
    const { version, position } = found;
    const loaded = await this.#load(found);
    if (loaded === null) return null;
    const { view } = loaded;
    const compiled = version.steps[position]!;
    const slot = undoneBy(view.graph, slotOf(view.graph, position));
    const received = (await readResumption(pool, view.steps[slot]!.id, null))?.received ?? [];
    const scope = await gatherScope(source, loaded, view, slot, received, compiled);
    if (compiled.undoes === null) return scope;
    return { ...scope, compensates: scope.steps[view.graph.steps[slot]!.key]?.output ?? null };
  }

  async #load({ stored, version, position }: FoundStep): Promise<Loaded | null> {
    const { pool } = this.#parts;
    const { executionId, scopeId, scope: path } = stored;
    const [execution] = await readExecutions(pool, [executionId]);
    if (execution === undefined) return null;
    const actor = NO_ACTORS.detached(viewKey(executionId, scopeId));
    const { workspaceId, priority } = execution;
    const facts = { version, workspaceId, priority, callbackUrl: null, parent: null };
    if (scopeId === null)
      return new Loaded(actor, facts, viewOf(version, execution, await loadSteps(pool, [executionId])));
    const [row] = await readScopes(pool, [scopeId]);
    if (row === undefined) return null;
    const { scope } = (await Places.around(pool, [row])).of(version, row);
    const steps = await loadScopeSteps(pool, [{ executionId, path }]);
    const view = viewOf(version, rowOfScope(row, false), steps, scope, graphAt(version.graphs, position));
    return new Loaded(actor, facts, view, await around(pool, execution, facts, scope));
  }
}

async function around(
  pool: Pool,
  execution: LoadedExecution,
  facts: Loaded['facts'],
  scope: ScopeRef,
): Promise<Loaded> {
  const surroundings = await Surroundings.read(pool, NO_ACTORS, [{ execution, scope }]);
  return surroundings.of(execution, facts, scope);
}

/** Returns whether the error is one of the values themselves: trying again would not help. */
function cannotBeShown(error: unknown): boolean {
  const isOfValues = [InputsTooLarge, NotStorable, StepFailure].some((kind) => error instanceof kind);
  if (isOfValues) return true;
  return error instanceof ExpressionError && error.code !== 'sandbox_unavailable' && error.code !== 'aborted';
}
