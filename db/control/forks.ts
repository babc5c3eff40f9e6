/**
 * The data of executions that forks need: their source, and their own mark.
 */
import { plainArray, textArray } from '../array-literal.ts';
import type { Db } from '../connection/client.ts';
import { guarded, type Statement } from '../statement.ts';

export interface ForkMark {
  readonly id: string;
  readonly source: string;
  readonly digest: string;
}

const MARK = guarded(
  `update workflow_executions e set forked_from = u.source, fork_digest = u.digest
     from unnest($1::uuid[], $2::uuid[], $3::text[]) as u(id, source, digest) where e.id = u.id`,
  4,
);

/** Marks executions that the same commit inserts. */
export function markForks(rows: readonly ForkMark[]): Statement {
  const values = [
    plainArray(rows.map(({ id }) => id)),
    plainArray(rows.map(({ source }) => source)),
    textArray(rows.map(({ digest }) => digest)),
    rows.length,
  ];
  return { name: 'mark_forks', text: MARK, values };
}

/** What a fork takes over from its source, besides steps. */
export interface ForkSource {
  /** JSON text. */
  readonly inputs: string;
  readonly userId: string | null;
  readonly workspaceId: string | null;
  readonly priority: number;
  readonly tags: readonly string[];
  readonly templateId: string;
}

/** Null: there is no such execution. */
export async function readForkSource(db: Db, id: string): Promise<ForkSource | null> {
  const { rows } = await db.query({
    name: 'read_fork_source',
    text: `select workflow_template_id, coalesce(inputs::text, '{}') as inputs, user_id, workspace_id, priority, tags
             from workflow_executions where id = $1 and removed_at is null`,
    values: [id],
  });
  const [row] = rows;
  if (row === undefined) return null;
  return {
    templateId: row.workflow_template_id,
    inputs: row.inputs,
    userId: row.user_id,
    workspaceId: row.workspace_id,
    priority: row.priority,
    tags: row.tags,
  };
}

/**
 * Returns the keys of steps of the top level in whose scopes a compensation has not completed.
 * @param compensations ids of the step templates of all compensations in scopes
 */
export async function readNotCompensatedInside(
  db: Db,
  executionId: string,
  compensations: readonly string[],
): Promise<Set<string>> {
  const { rows } = await db.query({
    name: 'read_not_compensated_inside',
    text: `select distinct split_part(scope, '[', 1) as holder
             from workflow_step_executions
            where workflow_execution_id = $1 and scope <> '' and step_template_id = any($2::uuid[])
              and status <> 'completed'`,
    values: [executionId, plainArray(compensations)],
  });
  return new Set(rows.map(({ holder }) => holder));
}

/** Returns the fork with an idempotency key, and whether it was asked for in the same way; null: there is none. */
export async function findFork(
  db: Db,
  workspaceId: string | null,
  key: string,
  digest: string,
): Promise<{ readonly id: string; readonly status: string; readonly same: boolean } | null> {
  // One condition for each of the two partial indexes; `is not distinct from` could use neither.
  const inWorkspace =
    workspaceId === null ? 'workspace_id is null and $1::uuid is null' : 'workspace_id = $1';
  const { rows } = await db.query(
    `select id, status, fork_digest is not distinct from $3 as same
       from workflow_executions where idempotency_key = $2 and ${inWorkspace}`,
    [workspaceId, key, digest],
  );
  return rows[0] ?? null;
}
