/**
 * Reads what a retry has to know besides views. The executions are final, so none of it changes.
 */
import type { StepStatus } from '../../core/status.ts';
import { plainArray } from '../array-literal.ts';
import type { Db } from '../connection/client.ts';

export interface LatestChild {
  readonly stepId: string;
  readonly id: string;
  readonly attempt: number;
  readonly status: string;
}

/** Returns the latest child of each step that it has waited for, by the id of the step. */
export async function readLatestChildren(
  db: Db,
  stepIds: readonly string[],
): Promise<ReadonlyMap<string, LatestChild>> {
  if (stepIds.length === 0) return new Map();
  const { rows } = await db.query({
    name: 'read_latest_children',
    text: `select u.step_id, c.id, c.parent_attempt, c.status
             from unnest($1::uuid[]) as u(step_id)
            cross join lateral (select id, parent_attempt, status from workflow_executions
                                 where parent_step_id = u.step_id and is_awaited and removed_at is null
                                 order by parent_attempt desc limit 1) c`,
    values: [plainArray(stepIds)],
  });
  return new Map(
    rows.map((row) => [
      row.step_id,
      { stepId: row.step_id, id: row.id, attempt: row.parent_attempt, status: row.status },
    ]),
  );
}

/** Returns the indexes of a holder's scopes that failed or were cancelled. */
export async function readUnfinishedScopes(db: Db, holderId: string): Promise<number[]> {
  const { rows } = await db.query({
    name: 'read_unfinished_scopes',
    text: `select index from workflow_scopes
            where step_execution_id = $1 and status in ('failed', 'cancelled') order by index`,
    values: [holderId],
  });
  return rows.map(({ index }) => index);
}

/** Returns the bytes of a scope's output, about; 0: it has none. */
export async function readScopeBytes(db: Db, holderId: string, index: number): Promise<number> {
  const { rows } = await db.query({
    name: 'read_scope_bytes',
    text: `select octet_length(coalesce(outputs, error)::text) as bytes
             from workflow_scopes where step_execution_id = $1 and index = $2`,
    values: [holderId, index],
  });
  return rows[0]?.bytes ?? 0;
}

export interface ParentStep {
  readonly executionId: string;
  readonly status: StepStatus;
}

/** Returns the step that waits, or has waited, for the end of an execution; null: none has. */
export async function readParentStep(db: Db, executionId: string): Promise<ParentStep | null> {
  const { rows } = await db.query({
    name: 'read_parent_step',
    text: `select s.workflow_execution_id, s.status
             from workflow_executions e join workflow_step_executions s on s.id = e.parent_step_id
            where e.id = $1 and e.is_awaited`,
    values: [executionId],
  });
  const [row] = rows;
  return row === undefined ? null : { executionId: row.workflow_execution_id, status: row.status };
}

/** Returns the paths of steps in scopes whose compensation failed or was cancelled. */
export async function readHalfUndone(db: Db, executionId: string): Promise<string[]> {
  const { rows } = await db.query({
    name: 'read_half_undone',
    text: `select s.scope || '/' || regexp_replace(t.key, '^.*/|~.*$', '', 'g') as path
             from workflow_step_executions s join workflow_step_templates t on t.id = s.step_template_id
            where s.workflow_execution_id = $1 and s.scope <> '' and t.key ~ '~' and s.status in ('failed', 'cancelled')
            order by s.id limit 20`,
    values: [executionId],
  });
  return rows.map(({ path }) => path);
}
