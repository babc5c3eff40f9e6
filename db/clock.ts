/**
 * The database's clock, which all timers and leases compare with.
 *
 * `now()` is when a transaction began. One that then waited for a lock decides on what others committed meanwhile, so
 * the times that it writes are of the moment after the lock (`readClock`). One that waits for nothing it builds on
 * writes `now()`.
 */
import type { Db } from './connection/client.ts';

/** Milliseconds from now to an instant (ISO 8601); negative: it has passed. */
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

/** Returns the present moment, also where the transaction began long ago. */
export async function readClock(tx: Db): Promise<Moment> {
  const { rows } = await tx.query({ name: 'read_clock', text: CLOCK, values: [] });
  return { at: rows[0].at, sinceBeginMs: rows[0].since_begin_ms };
}

const CLOCK = `
  select to_char(clock at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at,
         extract(epoch from clock - now())::double precision * 1000 as since_begin_ms
    from (select clock_timestamp() as clock offset 0) c`;

/** SQL: the moment of a transition. @param parameter a moment's `at`; null: the transaction's start */
export function momentOf(parameter: number): string {
  return `coalesce($${parameter}::timestamptz, now())`;
}

const MS_UNTIL = 'select extract(epoch from $1::timestamptz - clock_timestamp()) * 1000 as ms';
