/**
 * The rows of views, read under their locks. Executions are locked by id, then scopes by depth. Their rows are read after the
 * locks, so that they show every commit before.
 */
import { executionOf, type ScopeId, scopeOf, type ViewKey, viewKey } from '../core/view.ts';
import type { Tx } from '../db/connection/client.ts';
import { type LoadedScope, lockScopes, readScopes } from '../db/scopes/scope.ts';
import {
  existingExecutions,
  holdExecutions,
  type LoadedExecution,
  lockExecutions,
} from '../db/workflow-execution.ts';
import { type LoadedStep, loadScopeSteps, loadSteps } from '../db/workflow-step-execution.ts';

/** The rows of one view. */
export interface ViewRows {
  readonly execution: LoadedExecution;
  /** Null: the top level. */
  readonly scope: LoadedScope | null;
  readonly steps: readonly LoadedStep[];
}

export interface LockedViews {
  readonly found: ReadonlyMap<ViewKey, ViewRows>;
  /** Views that are locked elsewhere. */
  readonly locked: ReadonlySet<ViewKey>;
}

/** @param passOver leaves out views that are locked elsewhere */
export async function lockAndRead(tx: Tx, keys: readonly ViewKey[], passOver: boolean): Promise<LockedViews> {
  const scopeIds = keys.flatMap((key) => scopeOf(key) ?? []);
  const top = await lockAndReadTop(
    tx,
    scopeIds.length === 0 ? keys : keys.filter((key) => scopeOf(key) === null),
    passOver,
  );
  if (scopeIds.length === 0) return top;
  const inner = keys.filter((key) => scopeOf(key) !== null);
  const executions = await holdExecutions(tx, [...new Set(inner.map(executionOf))], passOver);
  const byId = new Map(executions.map((execution) => [execution.id, execution]));
  const free = passOver ? inner.filter((key) => byId.has(executionOf(key))) : inner;
  const scopes = await lockScopes(
    tx,
    free.flatMap((key) => scopeOf(key) ?? []),
    passOver,
  );
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

function pathKey({ executionId, scope }: { executionId: string; scope: string }): string {
  return `${executionId}/${scope}`;
}

function isSame(a: ScopeId, b: ScopeId): boolean {
  return a.holderId === b.holderId && a.index === b.index;
}
