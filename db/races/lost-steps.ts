/**
 * Statements on the losers of races.
 */
import { plainArray } from '../array-literal.ts';
import type { Db } from '../connection/client.ts';
import { guarded, type Statement } from '../statement.ts';

const MARK_LOST = guarded(
  `update workflow_step_executions s set lost_race = true where s.id = any($1::uuid[]) and s.status = 'cancelled'`,
  2,
);

/** Marks steps that the same commit cancels as losers. */
export function markLost(stepIds: readonly string[]): Statement {
  return { name: 'mark_lost', text: MARK_LOST, values: [plainArray(stepIds), stepIds.length] };
}

/**
 * Returns those of the steps that have lost a race, were ended by hand, were cancelled with the scope that they are in, or are
 * gone: their scope was opened anew.
 */
export async function lostSteps(db: Db, stepIds: readonly string[]): Promise<string[]> {
  const { rows } = await db.query({
    name: 'lost_steps',
    text: `select u.id::text from unnest($1::uuid[]) as u(id)
             left join workflow_step_executions s on s.id = u.id
            where s.id is null or s.by_hand is not null or (s.status = 'cancelled' and (s.lost_race or s.holder_id is not null))`,
    values: [plainArray(stepIds)],
  });
  return rows.map(({ id }) => id);
}
