/**
 * The rows from which views of scopes, and of steps that hold some, are rebuilt: besides the steps, the numbers of scopes, and the
 * place of a scope in the template. They are read for many views at once.
 */
import { EngineError } from '../../core/problem.ts';
import type { ExecutionRow, ScopeId, ScopeRef } from '../../core/view.ts';
import { scopeName } from '../../core/view.ts';
import type { Db } from '../../db/connection/client.ts';
import { readHeldScopes } from '../../db/scopes/held-scopes.ts';
import { type LoadedScope, readScopes } from '../../db/scopes/scope.ts';
import type { LoadedStep } from '../../db/workflow-step-execution.ts';
import { type StoredStep, scopeOfRow } from '../../template/stored-view.ts';
import type { TemplateVersion } from '../../template/version.ts';

/** The steps of one view. */
export interface VersionedSteps {
  readonly version: TemplateVersion;
  readonly steps: readonly LoadedStep[];
}

/** Returns a function that gives steps the numbers of the scopes that they hold; it reads those of all views in one statement. */
export async function readHeld(
  db: Db,
  views: readonly VersionedSteps[],
): Promise<(steps: readonly LoadedStep[]) => readonly StoredStep[]> {
  const ids = views.flatMap(({ version, steps }) =>
    version.graphs.length === 1 ? [] : steps.filter(isHolderOf(version)).map(({ id }) => id),
  );
  if (ids.length === 0) return (steps) => steps;
  const held = await readHeldScopes(db, ids);
  return (steps) => steps.map((step) => ({ ...step, held: held.get(step.id) ?? null }));
}

function isHolderOf(version: TemplateVersion): (step: LoadedStep) => boolean {
  return ({ stepTemplateId }) => {
    const position = version.positions.get(stepTemplateId);
    return position !== undefined && version.steps[position]!.step.scopes.length > 0;
  };
}

/** Where a scope is in the template. */
export type Place = ReturnType<typeof scopeOfRow>;

/** Scopes and those around them. */
export class Places {
  readonly #rows = new Map<string, LoadedScope>();

  /** Reads the scopes around: one statement for each level, however many scopes there are. */
  static async around(db: Db, rows: readonly LoadedScope[]): Promise<Places> {
    const places = new Places();
    for (let level = rows; level.length > 0; ) {
      for (const row of level) places.#rows.set(scopeName(row), row);
      const missing = new Map<string, ScopeId>();
      for (const { around } of level)
        if (around !== null && !places.#rows.has(scopeName(around))) missing.set(scopeName(around), around);
      level = await readScopes(db, [...missing.values()]);
    }
    return places;
  }

  /** @throws EngineError when the rows do not match the definition */
  of(version: TemplateVersion, row: LoadedScope): Place {
    return scopeOfRow(version, row, row.around === null ? null : this.#around(version, row, row.around));
  }

  #around(version: TemplateVersion, { path }: LoadedScope, id: ScopeId): ScopeRef {
    const outer = this.#rows.get(scopeName(id));
    if (outer === undefined) throw new EngineError('wrong_state', `Scope ${path} has lost its holder.`);
    return this.of(version, outer).scope;
  }
}

/** @param isPaused whether the execution of the scope is */
export function rowOfScope(
  { executionId, status, sequence, isStopping, due, error }: LoadedScope,
  isPaused: boolean,
): ExecutionRow {
  const stopRequested = isStopping ? { reason: null } : null;
  const shown = isPaused && status === 'running' ? 'paused' : status;
  return { id: executionId, status: shown, sequence, stopRequested, failure: error, due };
}
