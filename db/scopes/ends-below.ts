/**
 * Ends scopes from above, level by level: each statement begins when the level above is locked, so no scope is opened
 * below one that has ended. Steps are looked for last.
 */
import type { ScopeId } from '../../core/view.ts';
import { plainArray, textArray } from '../array-literal.ts';
import type { Db } from '../connection/client.ts';

export interface OpenScope extends ScopeId {
  readonly path: string;
}

/** A step that is not final. */
export interface OpenStep {
  readonly id: string;
  /** Path of its scope. */
  readonly scope: string;
  readonly isRunning: boolean;
  /** Open scopes that it holds, as far as it has heard. */
  readonly open: number;
  /** The run of its scopes; 0: it holds none. */
  readonly run: number;
  /** Whether the step itself is over: its scopes are being undone. */
  readonly isOver: boolean;
}

/**
 * Locks the open scopes of holders, and those that are being undone. Joined to the union itself, a scope that has changed while
 * its lock was waited for would be left out: PostgreSQL looks again at the row, and not at all of the union.
 */
export async function lockOpenScopes(tx: Db, holderIds: readonly string[]): Promise<OpenScope[]> {
  const { rows } = await tx.query({
    name: 'lock_open_scopes',
    text: `with o as materialized (
             select step_execution_id, index from workflow_scopes
              where step_execution_id = any($1::uuid[]) and status = 'running'
             union all
             select step_execution_id, index from workflow_scopes
              where step_execution_id = any($1::uuid[]) and status = 'compensating')
           select c.step_execution_id, c.index, c.path
             from o join workflow_scopes c on c.step_execution_id = o.step_execution_id and c.index = o.index
            where c.status in ('running', 'compensating')
            order by c.step_execution_id, c.index for no key update of c`,
    values: [plainArray(holderIds)],
  });
  return rows.map((row) => ({ holderId: row.step_execution_id, index: row.index, path: row.path }));
}

/** Returns the steps of scopes that are not final, or whose scopes are being undone; their scopes are locked. */
export async function readOpenSteps(
  tx: Db,
  executionId: string,
  paths: readonly string[],
): Promise<OpenStep[]> {
  const { rows } = await tx.query({
    name: 'read_open_steps',
    text: `select s.id, s.scope, s.status = 'running' as is_running, coalesce(h.open_count, 0) as open,
                  coalesce(h.run, 0) as run, s.status in ('completed', 'failed', 'skipped', 'cancelled') as is_over
             from unnest($2::text[]) as u(path)
            cross join lateral (select id, scope, status from workflow_step_executions
                                 where workflow_execution_id = $1 and scope = u.path offset 0) s
             left join workflow_held_scopes h on h.step_execution_id = s.id
            where s.status not in ('completed', 'failed', 'skipped', 'cancelled') or h.undo_open > 0
            order by s.id`,
    values: [executionId, textArray(paths)],
  });
  return rows.map((row) => ({
    id: row.id,
    scope: row.scope,
    isRunning: row.is_running,
    open: row.open,
    run: row.run,
    isOver: row.is_over,
  }));
}

/**
 * Ends scopes, or asks them to stop. One that is being undone gets the status back that it had. Either raises their sequence: a commit on its way loses its guard.
 */
export async function endScopes(
  tx: Db,
  scopes: readonly ScopeId[],
  how: 'cancel' | 'stop',
  at: string,
): Promise<void> {
  if (scopes.length === 0) return;
  const change =
    how === 'stop'
      ? 'stop_requested_at = $3::timestamptz'
      : `status = coalesce(c.due_status, 'cancelled'), due_status = null,
         completed_at = coalesce(c.completed_at, greatest($3::timestamptz, c.created_at))`;
  await tx.query({
    name: how === 'stop' ? 'stop_scopes' : 'cancel_scopes',
    text: `update workflow_scopes c set sequence = c.sequence + 1, ${change}
             from unnest($1::uuid[], $2::integer[]) as u(holder, index)
            where c.step_execution_id = u.holder and c.index = u.index`,
    values: [
      plainArray(scopes.map(({ holderId }) => holderId)),
      plainArray(scopes.map(({ index }) => index)),
      at,
    ],
  });
}

/** Cancels steps that are not final, by the transition that has just ended their scopes, or asked them to stop. */
export async function cancelSteps(tx: Db, ids: readonly string[], at: string): Promise<void> {
  if (ids.length === 0) return;
  await tx.query({
    name: 'cancel_steps_below',
    text: `update workflow_step_executions s
              set status = 'cancelled', claimed_by = null, sequence = greatest(c.sequence, s.sequence + 1), updated_at = $2::timestamptz,
                  completed_at = greatest($2::timestamptz, s.created_at, s.started_at), resume_at = null,
                  deadline_at = null, waiting_for = null, parked_at = null, parked_state = null
             from workflow_scopes c
            where c.step_execution_id = s.holder_id and c.index = substring(s.scope from '\\[([0-9]+)\\]$')::integer
              and s.id = any($1::uuid[]) and s.status not in ('completed', 'failed', 'skipped', 'cancelled')`,
    values: [plainArray(ids), at],
  });
}

/** Scopes of a holder that are open no more. */
export interface ClosedScopes {
  completed: number;
  failed: number;
  cancelled: number;
}

/** Takes scopes off the open ones of their holders: as many as were ended, never a recount. */
export async function countClosedBelow(tx: Db, counts: ReadonlyMap<string, ClosedScopes>): Promise<void> {
  if (counts.size === 0) return;
  const all = [...counts.values()];
  await tx.query({
    name: 'count_closed_below',
    text: `update workflow_held_scopes h
              set open_count = h.open_count - u.completed - u.failed - u.cancelled,
                  completed_count = h.completed_count + u.completed, failed_count = h.failed_count + u.failed,
                  cancelled_count = h.cancelled_count + u.cancelled
             from unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[]) as u(id, completed, failed, cancelled)
            where h.step_execution_id = u.id`,
    values: [
      plainArray([...counts.keys()]),
      plainArray(all.map(({ completed }) => completed)),
      plainArray(all.map(({ failed }) => failed)),
      plainArray(all.map(({ cancelled }) => cancelled)),
    ],
  });
}
