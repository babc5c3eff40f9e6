/**
 * Finds the steps in scopes that had begun when they were cancelled: whether they took effect is not known.
 */
import { plainArray } from '../array-literal.ts';
import type { Db } from '../connection/client.ts';

/** The most that are told. */
const MAX_UNCERTAIN = 1_000;

export interface UncertainStep {
  /** Path of its scope. */
  readonly scope: string;
  readonly stepTemplateId: string;
}

/** Reads the steps of one execution by workflow_step_executions_scope_step. @param stepTemplateIds those that count */
export async function readUncertainSteps(
  db: Db,
  executionId: string,
  stepTemplateIds: readonly string[],
): Promise<UncertainStep[]> {
  if (stepTemplateIds.length === 0) return [];
  const { rows } = await db.query({
    name: 'read_uncertain_steps',
    text: `select scope, step_template_id from workflow_step_executions
            where workflow_execution_id = $1 and scope <> '' and status = 'cancelled' and attempt_count > 0
              and step_template_id = any($2::uuid[])
            order by id limit $3`,
    values: [executionId, plainArray(stepTemplateIds), MAX_UNCERTAIN],
  });
  return rows.map((row) => ({ scope: row.scope, stepTemplateId: row.step_template_id }));
}
