/**
 * Reads the place of executions in their trees: what is above them, and their children.
 */
import type { ExecutionStatus } from '../../core/status.ts';
import { plainArray, textArray } from '../array-literal.ts';
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

/**
 * Returns the latest children of scopes, by the path of the scope.
 * @param stepTemplateIds the steps that start them
 */
export async function readChildrenOfScopes(
  db: Db,
  executionId: string,
  {
    paths,
    stepTemplateIds,
  }: { readonly paths: readonly string[]; readonly stepTemplateIds: readonly string[] },
): Promise<Map<string, string>> {
  if (stepTemplateIds.length === 0 || paths.length === 0) return new Map();
  const { rows } = await db.query({
    name: 'read_children_of_scopes',
    text: `select u.path, c.id
             from unnest($2::text[]) as u(path)
             join workflow_step_executions s
               on s.workflow_execution_id = $1 and s.scope = u.path and s.step_template_id = any($3::uuid[])
            cross join lateral (select id from workflow_executions
                                 where parent_step_id = s.id and removed_at is null
                                 order by parent_attempt desc limit 1) c`,
    values: [executionId, textArray(paths), plainArray(stepTemplateIds)],
  });
  return new Map(rows.map(({ path, id }) => [path, id]));
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
