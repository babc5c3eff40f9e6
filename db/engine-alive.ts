/**
 * Whether the owner of a claim is alive: the one place that says so, for the takeover and for the doctor.
 *
 * An engine is dead when its heartbeat is old: its process is gone, frozen or cut off. One that held a lease is
 * dead as soon as the lease is free and a heartbeat is missing. Time is the database's.
 */
import { LEASE_CLASS, leaseKey } from './connection/lease.ts';

/** An engine without a heartbeat for this long is dead, whatever its lease says. */
const SILENT_AFTER = `interval '8 seconds'`;
/** Heartbeats come once a second: an engine without lease that is late with one is gone. */
export const LATE_MS = 1_200;
const LATE_AFTER = `interval '${LATE_MS} milliseconds'`;

/** The leases that are held in this database; read once per statement, and only when an engine is late. */
const HELD_LEASES = `array(
  select l.objid from pg_locks l
   where l.locktype = 'advisory' and l.classid = ${LEASE_CLASS} and l.objsubid = 2 and l.granted and l.mode = 'ExclusiveLock'
     and l.database = (select d.oid from pg_database d where d.datname = current_database()))`;

/** How it is told who is alive; chosen once, by what the database offers. */
export interface SignsOfLife {
  /** SQL: whether the engine of this row of execution_engines is alive. @param row the row's name in the statement */
  engineIsAlive(row: string): string;
  /** SQL: whether the session that asks may judge others. @param self an expression for the id of its engine */
  observerIsSettled(self: string): string;
  /**
   * Where sessions do not tell how long the observer has been there, its process has to (pulse-loop.ts): the longest
   * time in milliseconds that it may have gone without a heartbeat of its own and still judge others. Null: they do.
   */
  readonly longestGapMs: number | null;
}

/** SQL: whether the engine of this row of execution_engines is alive. @param row the row's name in the statement */
export function engineIsAlive(row: string): string {
  return `(${row}.heartbeat_at > now() - ${LATE_AFTER}
    or (${row}.heartbeat_at > now() - ${SILENT_AFTER}
        and (not ${row}.has_lease or ${leaseKey(`${row}.id`)}::oid = any(${HELD_LEASES}))))`;
}

/** SQL: whether the engine that a claim names is alive. @param owner an expression for its id; null is nobody */
export function ownerIsAlive(owner: string, signs: Pick<SignsOfLife, 'engineIsAlive'> = BY_LEASE): string {
  return `exists (select 1 from execution_engines g where g.id = ${owner} and ${signs.engineIsAlive('g')})`;
}

/**
 * When the server began to accept connections, or did so again after it had reset itself because a backend crashed: the
 * postmaster goes on then, and the statistics do not.
 */
const SERVER_BEGAN_AT = `greatest(pg_postmaster_start_time(), pg_stat_get_bgwriter_stat_reset_time())`;

/**
 * SQL: whether this session has been there for long enough to judge others. A restart of the database frees every
 * lease and holds up every heartbeat: whoever is back first must give the others time to come back too. A process that
 * has only just begun has come back from nothing, unless the database has just begun as well.
 * @param self an expression for the id of the engine that asks
 */
export function observerIsSettled(self: string): string {
  return `exists (
    select from pg_stat_get_activity(pg_backend_pid()) a
     where a.backend_start < now() - interval '5 seconds'
        or (${SERVER_BEGAN_AT} < now() - interval '5 seconds'
            and a.backend_start < (select o.started_at + interval '2 seconds' from execution_engines o where o.id = ${self})))`;
}

/** Where its process says whether the observer may judge: PostgreSQL wants a use for every parameter all the same. */
const isNamed = (self: string) => `${self}::uuid is not null`;

/** Leases and sessions that last tell it. */
export const BY_LEASE: SignsOfLife = {
  engineIsAlive,
  observerIsSettled,
  longestGapMs: null,
};

/** Where the session that asks is another one each time; others may hold leases, which a restart frees at once. */
const BY_LEASE_OF_OTHERS: SignsOfLife = {
  engineIsAlive,
  observerIsSettled: isNamed,
  longestGapMs: 1_900,
};

/** Portable: there are no leases, and no session tells how long it has been there. */
export const BY_HEARTBEAT: SignsOfLife = {
  engineIsAlive: (row) => `${row}.heartbeat_at > now() - ${SILENT_AFTER}`,
  observerIsSettled: isNamed,
  longestGapMs: 3_000,
};

/** @param sessionsLast whether the asking session is the same each time */
export function signsOfLife(advisoryLocks: boolean, sessionsLast: boolean): SignsOfLife {
  if (!advisoryLocks) return BY_HEARTBEAT;
  return sessionsLast ? BY_LEASE : BY_LEASE_OF_OTHERS;
}
