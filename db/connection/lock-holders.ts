/** Reads which sessions keep those of an engine waiting for a lock. */
import type { Db } from './client.ts';

export interface LockHolder {
  /** 0: a prepared transaction. */
  readonly pid: number;
  readonly application: string;
  readonly user: string;
  /** Null: the engine's user may not see it. */
  readonly state: string | null;
  /** Begin of its transaction; null: the same. */
  readonly since: Date | null;
}

const MAX_HOLDERS = 5;
/** More than the look takes on a busy server; an answer that comes later is of no use. */
const ANSWER_MS = 2_000;

/** Returns the sessions that block sessions of the engine, without its own. */
export async function lockHolders(db: Db, engineId: string): Promise<LockHolder[]> {
  const asked = {
    query_timeout: ANSWER_MS,
    text: `
      select distinct p.pid, coalesce(h.application_name, '') as application, coalesce(h.usename, '') as "user",
             h.state, h.xact_start as since
        from pg_stat_activity w
        cross join lateral unnest(pg_blocking_pids(w.pid)) as p(pid)
        left join pg_stat_activity h on h.pid = p.pid
       where w.datname = current_database() and w.wait_event_type = 'Lock'
         and starts_with(w.application_name, $1) and not starts_with(coalesce(h.application_name, ''), $1)
       order by since
       limit ${MAX_HOLDERS}`,
    values: [`engine/${engineId}/`],
  };
  const { rows } = await db.query(asked);
  return rows;
}
