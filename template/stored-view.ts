/**
 * The view of an execution, rebuilt from its rows and its template's version.
 */
import { type Graph, graphAt } from '../core/graph.ts';
import { EngineError } from '../core/problem.ts';
import type { HeldScopes } from '../core/scopes/held-scopes.ts';
import { type ExecutionRow, type ExecutionView, loadView, type ScopeRef, slotOf } from '../core/view.ts';
import type { LoadedScope } from '../db/scopes/scope.ts';
import type { LoadedStep } from '../db/workflow-step-execution.ts';
import type { TemplateVersion } from './version.ts';

/** A step's row, with the numbers of the scopes that it holds. */
export type StoredStep = LoadedStep & { readonly held?: HeldScopes | null };

/** @throws EngineError when the rows do not match the definition */
export function viewOf(
  version: TemplateVersion,
  { id, status, sequence, stopRequested, failure, pause = null, due }: ExecutionRow,
  steps: readonly StoredStep[],
  scope: ScopeRef | null = null,
  graph: Graph = version.graph,
): ExecutionView {
  const rows = steps.map((step) => {
    const position = version.positions.get(step.stepTemplateId);
    if (position !== undefined) return { ...step, position };
    throw new EngineError('wrong_state', `Step ${step.id} of execution ${id} belongs to another template.`);
  });
  return loadView({ id, status, sequence, stopRequested, failure, pause, due }, graph, rows, scope);
}

/** Returns the graph of a scope and its place. @param around its holder's scope; null: the top level */
export function scopeOfRow(
  version: TemplateVersion,
  { holderId, index, part, run, path, holderTemplateId }: LoadedScope,
  around: ScopeRef | null,
): { readonly graph: Graph; readonly scope: ScopeRef } {
  const position = version.positions.get(holderTemplateId);
  const outer = position === undefined ? undefined : graphAt(version.graphs, position);
  const holderSlot = outer === undefined ? -1 : slotOf(outer, position!);
  const graph = outer?.inner[holderSlot]?.[part];
  if (graph !== undefined) return { graph, scope: { path, around, holderId, holderSlot, index, part, run } };
  throw new EngineError('wrong_state', `Scope ${path} belongs to another template.`);
}
