/**
 * The database's clock, with which all timers and leases are compared.
 *
 * `now()` is the beginning of a transaction. A transaction that then waited for a lock decides on data committed
 * meanwhile, so it writes the time after the lock (`readClock`). A transaction without such a wait writes `now()`.
 */
import type { Db } from './connection/client.ts';

/** Returns milliseconds from now to an instant (ISO 8601); negative: it has passed. */
export async function msUntil(db: Db, instant: string): Promise<number> {
  const { rows } = await db.query<{ ms: string }>(MS_UNTIL, [instant]);
  return Number(rows[0]!.ms);
}

export interface Moment {
  /** ISO 8601 with microseconds. */
  readonly at: string;
  /** Milliseconds since the transaction began. */
  readonly sinceBeginMs: number;
}

/** Returns the current time, even in a transaction that began long ago. */
export async function readClock(tx: Db): Promise<Moment> {
  const { rows } = await tx.query({ name: 'read_clock', text: CLOCK, values: [] });
  return { at: rows[0].at, sinceBeginMs: rows[0].since_begin_ms };
}

const CLOCK = `
  select to_char(clock at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at,
         extract(epoch from clock - now())::double precision * 1000 as since_begin_ms
    from (select clock_timestamp() as clock offset 0) c`;

/**
 * Returns SQL for the time of a transition. @param parameter number of the parameter with a moment's `at`; null
 * there: `now()`
 */
export function momentOf(parameter: number): string {
  return `coalesce($${parameter}::timestamptz, now())`;
}

const MS_UNTIL = 'select extract(epoch from $1::timestamptz - clock_timestamp()) * 1000 as ms';
