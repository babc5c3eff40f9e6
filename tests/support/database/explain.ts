/**
 * Plans of statements as the connections that send them get them.
 */
import type { Pool } from '../../../db/connection/client.ts';
import type { PlannedQuery } from './query-plans.ts';

/** As db/connection/lane.ts sets it. */
const LANE_PLANNER = `set enable_hashjoin = off; set enable_mergejoin = off; set enable_seqscan = off;
  set plan_cache_mode = force_generic_plan; set jit = off`;

/** The plan as text, without costs, and with the names of pg-boss's partitions and the ids shortened. */
export async function explain(pool: Pool, { statement, lane }: PlannedQuery): Promise<string> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    if (lane) await client.query(LANE_PLANNER.replaceAll('set ', 'set local '));
    const { rows } = await client.query(`explain (costs off) ${statement.text}`, statement.values);
    return rows.map((row) => readable(row['QUERY PLAN'])).join('\n');
  } finally {
    await client.query('rollback');
    client.release();
  }
}

/** What differs from run to run, in words that do not. */
function readable(plan: string): string {
  return plan
    .replace(/\bj[0-9a-f]{56}/g, 'job')
    .replace(/'\{?[0-9a-f]{8}-[0-9a-f-]{27}[^']*'::uuid(\[\])?/g, '$$$1')
    .replace(/'[^']*'::text\b/g, '$$');
}
