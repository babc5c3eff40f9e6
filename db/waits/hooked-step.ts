/**
 * Finds the step that a URL of a webhook step names.
 */
import type { Db } from '../connection/client.ts';

/** Returns the template of an execution; null: there is no such execution. */
export async function readTemplateOf(db: Db, executionId: string): Promise<string | null> {
  const { rows } = await db.query({
    name: 'read_template_of',
    text: 'select workflow_template_id from workflow_executions where id = $1 and removed_at is null',
    values: [executionId],
  });
  return rows[0]?.workflow_template_id ?? null;
}

const STEP = `
  select id from workflow_step_executions
   where workflow_execution_id = $1 and scope = $2 and step_template_id = $3`;

/** Returns the id of a step; null: it has no row yet. Uses workflow_step_executions_scope_step. */
export async function readStepId(
  db: Db,
  executionId: string,
  scope: string,
  stepTemplateId: string,
): Promise<string | null> {
  const { rows } = await db.query({
    name: 'read_step_id',
    text: STEP,
    values: [executionId, scope, stepTemplateId],
  });
  return rows[0]?.id ?? null;
}
