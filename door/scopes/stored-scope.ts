/**
 * The rows from which views of scopes, and of steps that hold some, are rebuilt: besides the steps, the numbers of scopes, and the
 * place of a scope in the template.
 */
import { EngineError } from '../../core/problem.ts';
import type { ExecutionRow, ScopeRef } from '../../core/view.ts';
import type { Db } from '../../db/connection/client.ts';
import { readHeldScopes } from '../../db/scopes/held-scopes.ts';
import { type LoadedScope, readScopes } from '../../db/scopes/scope.ts';
import type { LoadedStep } from '../../db/workflow-step-execution.ts';
import { type StoredStep, scopeOfRow } from '../../template/stored-view.ts';
import type { TemplateVersion } from '../../template/version.ts';

/** Returns the steps with the numbers of the scopes that they hold. */
export async function withHeld(
  db: Db,
  version: TemplateVersion,
  steps: readonly LoadedStep[],
): Promise<StoredStep[]> {
  const holders = steps.filter(({ stepTemplateId }) => {
    const position = version.positions.get(stepTemplateId);
    return position !== undefined && version.steps[position]!.step.scopes.length > 0;
  });
  const held = await readHeldScopes(
    db,
    holders.map(({ id }) => id),
  );
  return steps.map((step) => ({ ...step, held: held.get(step.id) ?? null }));
}

/** Returns where a scope is in the template, and the scopes around it, which are read one after the other. */
export async function placeOf(db: Db, version: TemplateVersion, row: LoadedScope) {
  const rows = [row];
  for (let { around } = row; around !== null; around = rows.at(-1)!.around) {
    const [outer] = await readScopes(db, [around]);
    if (outer === undefined) throw new EngineError('wrong_state', `Scope ${row.path} has lost its holder.`);
    rows.push(outer);
  }
  let place: ReturnType<typeof scopeOfRow> | null = null;
  for (const each of rows.toReversed())
    place = scopeOfRow(version, each, (place?.scope ?? null) as ScopeRef | null);
  return place!;
}

export function rowOfScope({ executionId, status, sequence, isStopping, error }: LoadedScope): ExecutionRow {
  const stopRequested = isStopping ? { reason: null } : null;
  return { id: executionId, status, sequence, stopRequested, failure: error, due: null };
}
