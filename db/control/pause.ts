/**
 * The pause of an execution: a row of its own is not needed, and its scopes know nothing of it in theirs. Who decides in a scope
 * holds the execution's row with a weak lock until the commit; who pauses or resumes takes the strong one, and so waits for
 * the commits of scopes that are on their way.
 */
import type { Pause } from '../../core/view.ts';
import { plainArray } from '../array-literal.ts';
import { momentOf } from '../clock.ts';
import type { Db } from '../connection/client.ts';
import type { Statement } from '../statement.ts';

const SET_PAUSE = `
  update workflow_executions e
     set paused_by = u.by, paused_at = case when u.is_paused then ${momentOf(4)} end
    from unnest($1::uuid[], $2::boolean[], $3::uuid[]) as u(id, is_paused, by) where e.id = u.id`;

/** Writes who pauses executions, or that nobody does any more. The same commit has changed their rows. @param at see db/clock.ts */
export function setPause(
  rows: readonly { id: string; pause: Pause | null }[],
  at: string | null = null,
): Statement {
  return {
    name: 'set_pause',
    text: SET_PAUSE,
    values: [
      plainArray(rows.map(({ id }) => id)),
      plainArray(rows.map(({ pause }) => pause !== null)),
      plainArray(rows.map(({ pause }) => pause?.by ?? null)),
      at,
    ],
  };
}

/** Locks an execution that is paused or resumed: no commit of a scope of it is on its way after that. */
export async function lockAgainstScopes(tx: Db, id: string): Promise<void> {
  const text = 'select 1 from workflow_executions where id = $1 for update';
  await tx.query({ name: 'lock_against_scopes', text, values: [id] });
}

const CHECK_HOLD = `
  with held as materialized (
    select e.id from workflow_executions e
      join unnest($1::uuid[], $2::boolean[]) as u(id, is_paused) on u.id = e.id
     where (e.status || '' = 'paused') = u.is_paused
     order by e.id for key share of e)
  select 1 / (count(*) = $3::bigint)::integer from held`;

/**
 * Fails the transaction when an execution has been paused or resumed since a view of a scope was loaded; neither happens before
 * its end.
 */
export function checkHold(rows: readonly { id: string; isPaused: boolean }[]): Statement {
  return {
    name: 'check_hold',
    text: CHECK_HOLD,
    values: [
      plainArray(rows.map(({ id }) => id)),
      plainArray(rows.map(({ isPaused }) => isPaused)),
      rows.length,
    ],
  };
}
