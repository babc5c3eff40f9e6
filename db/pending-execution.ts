/**
 * Chooses the pending executions that begin next: workspaces in turn, then priority, then start time.
 *
 * The rows themselves are the queue, without jobs: a first-in-first-out queue would let one workspace's backlog
 * starve the others.
 */
import { plainArray } from './array-literal.ts';
import type { Db } from './connection/client.ts';

/** The workspace of executions without one. */
export const NOBODY = '00000000-0000-0000-0000-000000000000';

/**
 * The workspaces with pending executions are found by hopping through the index (a "loose index scan"), so
 * the cost does not grow with the backlog. Each gets an equal share, and the turn continues after the workspace
 * served last. Rows that another engine is about to begin are skipped.
 * Uses workflow_executions_pending; locks the rows it returns where SKIP LOCKED is available.
 */
const PICK = (locking: string) => `
  with recursive turn(workspace) as (
    (select coalesce(workspace_id, '${NOBODY}') from workflow_executions
      where status = 'pending' and start_after is null
      order by coalesce(workspace_id, '${NOBODY}') limit 1)
    union all
    (select (select coalesce(e.workspace_id, '${NOBODY}') from workflow_executions e
              where e.status = 'pending' and e.start_after is null
                and coalesce(e.workspace_id, '${NOBODY}') > turn.workspace
              order by coalesce(e.workspace_id, '${NOBODY}') limit 1)
       from turn where turn.workspace is not null)
  ), wanted as (
    select workspace from turn where workspace is not null and workspace <> all ($3::uuid[])
  ), share as (
    select greatest(1, $1::integer / greatest(1, count(*)::integer)) as size from wanted
  )
  select p.id, t.workspace
    from (select workspace from wanted
           order by workspace <= $2::uuid, workspace) t
   cross join lateral (
     select e.id from workflow_executions e
      where e.status = 'pending' and e.start_after is null and coalesce(e.workspace_id, '${NOBODY}') = t.workspace
        and e.workflow_template_id <> all ($4::uuid[]) and e.id <> all ($5::uuid[])
      order by e.priority desc, e.id
      limit (select size from share)
        ${locking}) p
   limit $1::integer`;

const PICK_LOCKED = PICK('for no key update skip locked');
/**
 * Portable: picked rows that another engine is about to begin are found when they are locked, in the order of the
 * ids.
 */
const PICK_UNLOCKED = PICK('');

export interface PickedExecution {
  readonly id: string;
  readonly workspace: string;
}

export interface Pick {
  readonly limit: number;
  /** The workspace served last. */
  readonly after: string | null;
  /** Workspaces to leave out. */
  readonly exceptWorkspaces: readonly string[];
  /** Templates to leave out, which other engines run. */
  readonly exceptTemplates: readonly string[];
  readonly exceptExecutions: readonly string[];
  /** Whether the database can skip locked rows; otherwise the rows are not locked. */
  readonly skipLocked: boolean;
}

export async function pickPending(tx: Db, pick: Pick): Promise<PickedExecution[]> {
  const { limit, after, skipLocked } = pick;
  const except = [pick.exceptWorkspaces, pick.exceptTemplates, pick.exceptExecutions].map(plainArray);
  const values = [limit, after ?? NOBODY, ...except];
  const text = skipLocked ? PICK_LOCKED : PICK_UNLOCKED;
  const { rows } = await tx.query({ name: 'pick_pending', text, values });
  return rows;
}

/** Makes delayed executions pending like others once their time has come. */
export async function lineUp(tx: Db, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await tx.query(
    `update workflow_executions set start_after = null, updated_at = now()
      where id = any($1::uuid[]) and status in ('pending', 'paused') and started_at is null`,
    [plainArray(ids)],
  );
}
