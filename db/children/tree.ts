/**
 * Reads the place of executions in their trees: what is above them, and their children.
 */
import type { ExecutionStatus } from '../../core/status.ts';
import { plainArray } from '../array-literal.ts';
import type { Db } from '../connection/client.ts';

export interface PlaceInTree {
  readonly workspaceId: string | null;
  /** Number of executions above. */
  readonly depth: number;
}

/** The execution is there: a step of it is running. */
export async function readPlaceInTree(db: Db, executionId: string): Promise<PlaceInTree> {
  const { rows } = await db.query({
    name: 'read_place_in_tree',
    text: 'select workspace_id, coalesce(child_depth, 0) as depth from workflow_executions where id = $1',
    values: [executionId],
  });
  return { workspaceId: rows[0]?.workspace_id ?? null, depth: rows[0]?.depth ?? 0 };
}

export interface ListedChild {
  readonly stepId: string;
  readonly id: string;
  readonly status: ExecutionStatus;
}

/** Children of one step that are shown. */
const MAX_LISTED = 100;

/** Returns the first children of each step, in the order of its attempts. */
export async function readChildren(db: Db, stepIds: readonly string[]): Promise<ListedChild[]> {
  if (stepIds.length === 0) return [];
  const { rows } = await db.query({
    name: 'read_children',
    text: `select u.step_id, c.id, c.status
             from unnest($1::uuid[]) as u(step_id)
            cross join lateral (select id, status from workflow_executions
                                 where parent_step_id = u.step_id and removed_at is null
                                 order by parent_attempt limit ${MAX_LISTED}) c`,
    values: [plainArray(stepIds)],
  });
  return rows.map((row) => ({ stepId: row.step_id, id: row.id, status: row.status }));
}
