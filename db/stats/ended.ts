/**
 * Statements on workflow_ended: ends of executions that are not counted yet.
 *
 * Invariant 1: a row is written in the commit of its end, and deleted in the commit that counts it. So each end is counted
 * once, whatever process is killed and whoever counts.
 */
import type { End, EndedExecution } from '../../core/stats/end-counts.ts';
import { plainArray } from '../array-literal.ts';
import type { Db, Tx } from '../connection/client.ts';
import type { DatabaseFeatures } from '../connection/features.ts';
import { tryLockRow } from '../connection/named-lock.ts';
import type { Statement } from '../statement.ts';

/** Executions that a step has started are counted with none: lists leave them out, too. Uses the primary key. */
const NOTE = `
  insert into workflow_ended (execution_id, workflow_template_id, workspace_id, status, ended_at, duration_ms)
  select id, workflow_template_id, workspace_id, status, completed_at,
         extract(epoch from completed_at - started_at) * 1000
    from workflow_executions
   where id = any($1::uuid[]) and parent_step_id is null`;

/** Notes the ends among changes of executions that the same transaction has made. */
export function noteEnds(changes: readonly { readonly id: string; readonly ended: boolean }[]): Statement[] {
  const ids = changes.filter(({ ended }) => ended).map(({ id }) => id);
  return ids.length === 0 ? [] : [{ name: 'note_ends', text: NOTE, values: [plainArray(ids)] }];
}

/** The advisory lock of counting: one engine counts at a time. */
const LOCK_CLASS = 1_163_413_831;

/** Returns whether this transaction may count; otherwise another engine does. */
export async function lockCounting(
  tx: Tx,
  { advisoryLocks }: Pick<DatabaseFeatures, 'advisoryLocks'>,
): Promise<boolean> {
  if (!advisoryLocks) return tryLockRow(tx, 'count-ends');
  const { rows } = await tx.query('select pg_try_advisory_xact_lock($1, 1) as locked', [LOCK_CLASS]);
  return rows[0].locked;
}

export async function hasUncounted(db: Db): Promise<boolean> {
  const { rows } = await db.query({
    name: 'has_uncounted',
    text: 'select exists (select 1 from workflow_ended) as found',
    values: [],
  });
  return rows[0].found;
}

/** Uses workflow_ended_at. Rows of one moment are taken together, so they may be more than the limit. */
const TAKE = `
  delete from workflow_ended
   where ended_at <= (select max(ended_at) from (
           select ended_at from workflow_ended order by ended_at limit $1::bigint) first)
  returning execution_id, workflow_template_id, workspace_id, status, ended_at, duration_ms`;
const NAMES = 'select id, name from workflow_templates where id = any($1::uuid[])';

/** Takes the oldest ends that are not counted yet. */
export async function takeEnds(tx: Tx, limit: number): Promise<EndedExecution[]> {
  const { rows } = await tx.query(TAKE, [limit]);
  const ids = [...new Set(rows.map((row) => row.workflow_template_id))];
  const found = await tx.query(NAMES, [plainArray(ids)]);
  const names = new Map<string, string>(found.rows.map(({ id, name }) => [id, name]));
  return rows.map((row) => ({
    workspaceId: row.workspace_id,
    // A template whose executions are gone may have been deleted by hand.
    template: names.get(row.workflow_template_id) ?? '',
    status: row.status as End,
    endedAt: row.ended_at,
    durationMs: row.duration_ms,
  }));
}
