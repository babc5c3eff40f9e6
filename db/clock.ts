/**
 * The database's clock, which all timers and leases compare with.
 */
import type { Db } from './connection/client.ts';

/** Milliseconds from now to an instant (ISO 8601); negative: it has passed. */
export async function msUntil(db: Db, instant: string): Promise<number> {
  const { rows } = await db.query<{ ms: string }>(MS_UNTIL, [instant]);
  return Number(rows[0]!.ms);
}

const MS_UNTIL = 'select extract(epoch from $1::timestamptz - clock_timestamp()) * 1000 as ms';
