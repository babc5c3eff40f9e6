/**
 * Decides whether an engine is alive, and which engines may declare it dead. The one place for it, for the takeover
 * and for the doctor.
 *
 * An engine is silent when its heartbeat is old: its process is dead, frozen or cut off. An engine that held a lease
 * is silent as soon as both its leases are free and one heartbeat is missing. Time is the database's.
 *
 * Invariant: an engine never judges peers by an outage that it shared. When the database is restarted, fails over or
 * stalls, or when the connections of all engines are cut, every lease may be free and every heartbeat late. An engine
 * that comes back from such a time waits, so that the peers it has not heard since can come back too.
 */
import { HELD_LEASES, heartbeatLease, leaseKey } from './connection/lease.ts';

/** An engine without a heartbeat for this long is silent, even with its lease. */
export const SILENT_MS = 8_000;
const SILENT = `interval '${SILENT_MS / 1_000} seconds'`;
/** Heartbeats come once a second: an engine that has lost its lease and misses one is dead. */
export const LATE_MS = 1_200;
const LATE = `interval '${LATE_MS} milliseconds'`;
/** Peers get as long to come back as the database heard no heartbeat, within these bounds. */
const MIN_RETURN = `interval '2 seconds'`;
const MAX_RETURN = `interval '5 seconds'`;
/** An engine that sent no heartbeat for this long was away. */
const AWAY = `interval '5 seconds'`;
/** The same when neither the engine's session nor its lease shows that its connections were cut. */
const AWAY_WITHOUT_SESSION = `interval '1900 milliseconds'`;

/**
 * The last time at which earlier leases may have been lost with the server: it was started, it reset itself after
 * a backend crashed (the postmaster keeps running then, but the statistics are reset), or it was a standby until
 * then.
 */
const SERVER_BEGAN_AT = `greatest(pg_postmaster_start_time(), pg_stat_get_bgwriter_stat_reset_time(), pg_last_xact_replay_timestamp())`;

/** The SQL by which the engines of a database are judged; chosen once, by the features of the database. */
export interface SignsOfLife {
  /** SQL: whether the engine of this row of execution_engines is alive. @param row its name in the statement */
  engineIsAlive(row: string): string;
  /** SQL: whether an engine that was not away may declare another one dead. @param observer the name of its own row */
  mayJudge(observer: string, row: string): string;
  /** SQL: whether the asking engine was away since its last heartbeat. @param row the name of its own row */
  wasAway(row: string): string;
  /** SQL: whether a lease is held. @param row the name of its engine's row */
  leaseIsHeld(row: string): string;
  /** SQL: takes a lease for the session of a heartbeat, if it can hold one. @param id an expression for the engine's id */
  takesLease(id: string): string;
}

/** A heartbeat in the future does not count: the clock was set back. */
const heardWithin = (row: string, time: string) =>
  `${row}.heartbeat_at between now() - ${time} and now() + ${time}`;

const leaseIsHeld = (row: string) => `${leaseKey(`${row}.id`)}::oid = any(${HELD_LEASES})`;

/** SQL: whether the engine of this row is alive. @param row the row's name in the statement */
export function engineIsAlive(row: string): string {
  return `(${heardWithin(row, LATE)}
    or (${heardWithin(row, SILENT)} and (not ${row}.has_lease or ${leaseIsHeld(row)})))`;
}

/** SQL: whether the engine that owns a claim is alive. @param owner an expression for its id; null: no owner */
export function ownerIsAlive(owner: string): string {
  return `exists (select 1 from execution_engines g where g.id = ${owner} and ${engineIsAlive('g')})`;
}

/** SQL: the time from which an engine that is heard judges peers that are silent from now on. */
export const SETTLES_AT = `now() + greatest(${MIN_RETURN}, least(${MAX_RETURN},
  now() - (select max(a.heartbeat_at) from execution_engines a)))`;

/** SQL: whether the engine has been heard since, or its time to come back is over. */
const silenceIsItsOwn = (observer: string, row: string) =>
  `${row}.heartbeat_at between ${observer}.heard_since and now() + ${LATE} or ${observer}.settled_at <= now()`;

/** SQL: whether a third engine fell silent together with this one, or was away since: both may have been cut off. */
const silenceIsShared = (observer: string, row: string) => `exists (
  select from execution_engines q
   where q.id not in (${observer}.id, ${row}.id)
     and (q.heard_since > greatest(${row}.heartbeat_at, q.started_at)
          or (q.heartbeat_at between ${row}.heartbeat_at - ${MIN_RETURN} and ${row}.heartbeat_at + ${MIN_RETURN}
              and not ${engineIsAlive('q')})))`;

/**
 * A newly started engine has no outage behind it: it judges at once by leases that this server has lost. Engines that
 * may have been cut off together get two seconds from their last heartbeat: they send the next one at once.
 */
function mayJudge(observer: string, row: string): string {
  return `(${silenceIsItsOwn(observer, row)}
    or (${observer}.heard_since = ${observer}.started_at and ${row}.has_lease
        and ${row}.heartbeat_at > ${SERVER_BEGAN_AT} and not ${leaseIsHeld(row)}
        and (${row}.heartbeat_at < now() - ${MIN_RETURN} or not ${silenceIsShared(observer, row)})))`;
}

const wasAwayFor = (time: string) => (row: string) =>
  `(not ${row}.heartbeat_at between now() - ${time} and now() + ${LATE})`;

/** The session is newer than the last heartbeat: the connections were cut. */
const sessionIsNew = (row: string) =>
  `exists (select from pg_stat_get_activity(pg_backend_pid()) a where a.backend_start > ${row}.heartbeat_at)`;

/** With leases, and one session for the heartbeats of each engine. */
export const BY_LEASE: SignsOfLife = {
  engineIsAlive,
  mayJudge,
  wasAway: (row) => `(${wasAwayFor(AWAY)(row)} or ${sessionIsNew(row)})`,
  leaseIsHeld,
  takesLease: heartbeatLease,
};

/** With leases, and heartbeats in changing sessions. */
const BY_LEASE_OF_OTHERS: SignsOfLife = {
  ...BY_LEASE,
  wasAway: wasAwayFor(AWAY_WITHOUT_SESSION),
  takesLease: () => 'false',
};

/** Portable: without leases. */
export const BY_HEARTBEAT: SignsOfLife = {
  engineIsAlive: (row) => `(${heardWithin(row, SILENT)})`,
  mayJudge: (observer, row) => `(${silenceIsItsOwn(observer, row)})`,
  wasAway: wasAwayFor(AWAY),
  leaseIsHeld: () => 'false',
  takesLease: () => 'false',
};

/** @param sessionsLast whether all heartbeats of an engine use the same session */
export function signsOfLife(advisoryLocks: boolean, sessionsLast: boolean): SignsOfLife {
  if (!advisoryLocks) return BY_HEARTBEAT;
  return sessionsLast ? BY_LEASE : BY_LEASE_OF_OTHERS;
}
