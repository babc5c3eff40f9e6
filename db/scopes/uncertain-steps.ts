/**
 * Finds the steps in scopes that a compensation leaves open: those that had begun when they were cancelled, and those
 * that completed and are not undone.
 */

import { plainArray } from '../array-literal.ts';
import type { Db } from '../connection/client.ts';

/** The most that are told. */
const MAX_TOLD = 1_000;

export interface StepInScope {
  /** Path of its scope. */
  readonly scope: string;
  readonly stepTemplateId: string;
}

/** Reads the steps of one execution by workflow_step_executions_scope_step. @param stepTemplateIds those that count */
export async function readUncertainSteps(
  db: Db,
  executionId: string,
  stepTemplateIds: readonly string[],
): Promise<StepInScope[]> {
  if (stepTemplateIds.length === 0) return [];
  const { rows } = await db.query({
    name: 'read_uncertain_steps',
    text: `select scope, step_template_id from workflow_step_executions
            where workflow_execution_id = $1 and scope <> '' and status = 'cancelled' and attempt_count > 0
              and step_template_id = any($2::uuid[])
            order by id limit $3`,
    values: [executionId, plainArray(stepTemplateIds), MAX_TOLD],
  });
  return rows.map(toStep);
}

/** Steps with compensations, and the step template of the compensation of each. */
export interface CompensatedSteps {
  readonly steps: readonly string[];
  readonly compensations: readonly string[];
}

/**
 * Reads the completed steps of one execution whose compensation failed or was cut off, by
 * workflow_step_executions_scope_step. @param isOver also those whose compensation never began
 */
export async function readNotUndoneSteps(
  db: Db,
  executionId: string,
  { steps, compensations }: CompensatedSteps,
  isOver: boolean,
): Promise<StepInScope[]> {
  if (steps.length === 0) return [];
  const { rows } = await db.query({
    name: 'read_not_undone_steps',
    text: `select s.scope, s.step_template_id
             from workflow_step_executions s
             join unnest($2::uuid[], $3::uuid[]) as u(step, compensation) on u.step = s.step_template_id
             left join workflow_step_executions c
               on c.workflow_execution_id = s.workflow_execution_id and c.scope = s.scope and c.step_template_id = u.compensation
            where s.workflow_execution_id = $1 and s.scope <> '' and s.status = 'completed'
              and (c.status in ('failed', 'cancelled') or ($4 and c.id is null))
            order by s.id limit $5`,
    values: [executionId, plainArray(steps), plainArray(compensations), isOver, MAX_TOLD],
  });
  return rows.map(toStep);
}

function toStep(row: { scope: string; step_template_id: string }): StepInScope {
  return { scope: row.scope, stepTemplateId: row.step_template_id };
}
