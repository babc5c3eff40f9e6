/**
 * The top level of an execution, read without a lock: for decisions that a commit checks, or that only say what would be.
 */
import type { ExecutionView } from '../../core/view.ts';
import type { Pool } from '../../db/connection/client.ts';
import { readHeldScopes } from '../../db/scopes/held-scopes.ts';
import { readExecutions } from '../../db/workflow-execution.ts';
import { loadSteps } from '../../db/workflow-step-execution.ts';
import { viewOf } from '../../template/stored-view.ts';
import type { TemplateVersion } from '../../template/version.ts';
import type { TemplateVersions } from '../../template/versions.ts';

export interface SourceView {
  readonly version: TemplateVersion;
  readonly view: ExecutionView;
}

/** Steps are read before the execution: one that has begun to undo is found by its status. Null: there is none. */
export async function readSourceView(
  pool: Pool,
  versions: Pick<TemplateVersions, 'get'>,
  id: string,
): Promise<SourceView | null> {
  const steps = await loadSteps(pool, [id]);
  const [execution] = await readExecutions(pool, [id]);
  if (execution === undefined) return null;
  const version = await versions.get(pool, execution.templateId);
  const holders = new Set(
    version.graph.steps.flatMap(({ scopes }, slot) =>
      scopes.length > 0 ? version.stepTemplateIds[slot] : [],
    ),
  );
  const holding = steps.filter(({ stepTemplateId }) => holders.has(stepTemplateId));
  const held = await readHeldScopes(
    pool,
    holding.map((step) => step.id),
  );
  const rows = steps.map((step) => ({ ...step, held: held.get(step.id) ?? null }));
  return { version, view: viewOf(version, execution, rows) };
}
