/**
 * Whether an engine is alive, and who may say that it is dead: the one place for it, for the takeover and for the
 * doctor.
 *
 * An engine is silent when its heartbeat is old: its process is gone, frozen or cut off. One that held a lease is
 * silent as soon as the lease is free and a heartbeat is missing. Time is the database's.
 *
 * Invariant: an engine judges nobody by a silence that it shared. When the database is restarted, fails over or stands
 * still, or when the connections of all engines are cut, every lease may be free and every heartbeat late. An engine
 * that comes back from such a time gives those that it has not heard since the time to come back too.
 */
import { LEASE_CLASS, leaseKey } from './connection/lease.ts';

/** An engine without a heartbeat for this long is silent, whatever its lease says. */
const SILENT = `interval '8 seconds'`;
/** Heartbeats come once a second: an engine without its lease that is late with one is gone. */
export const LATE_MS = 1_200;
const LATE = `interval '${LATE_MS} milliseconds'`;
/** Others get as long to come back as the database heard of nobody, within these bounds. */
const MIN_RETURN = `interval '2 seconds'`;
const MAX_RETURN = `interval '5 seconds'`;
/** An engine that sent no heartbeat for this long was away. */
const AWAY = `interval '5 seconds'`;
/** The same where neither the engine's session nor its lease tells that its connections were cut. */
const AWAY_WITHOUT_SESSION = `interval '1900 milliseconds'`;

/** The leases that are held in this database; read once per statement, and only when an engine is late. */
const HELD_LEASES = `array(
  select l.objid from pg_locks l
   where l.locktype = 'advisory' and l.classid = ${LEASE_CLASS} and l.objsubid = 2 and l.granted and l.mode = 'ExclusiveLock'
     and l.database = (select d.oid from pg_database d where d.datname = current_database()))`;

/**
 * The last moment at which leases of before may have been lost with the server: it was started, it reset itself because
 * a backend crashed (the postmaster goes on then, and the statistics do not), or it was a standby until then.
 */
const SERVER_BEGAN_AT = `greatest(pg_postmaster_start_time(), pg_stat_get_bgwriter_stat_reset_time(), pg_last_xact_replay_timestamp())`;

/** How the engines of a database are judged; chosen once, by what the database offers. */
export interface SignsOfLife {
  /** SQL: whether the engine of this row of execution_engines gives a sign of life. @param row its name in the statement */
  engineIsAlive(row: string): string;
  /** SQL: whether an engine that was not away may judge another that gives none. @param observer the name of its own row */
  mayJudge(observer: string, row: string): string;
  /** SQL: whether the engine that asks was away since its last heartbeat. @param row the name of its own row */
  wasAway(row: string): string;
  /** SQL: whether a lease is held. @param row the name of its engine's row */
  leaseIsHeld(row: string): string;
}

/** A heartbeat that lies ahead is none: the clock was set back. */
const heardWithin = (row: string, time: string) =>
  `${row}.heartbeat_at between now() - ${time} and now() + ${time}`;

const leaseIsHeld = (row: string) => `${leaseKey(`${row}.id`)}::oid = any(${HELD_LEASES})`;

/** SQL: whether the engine of this row gives a sign of life. @param row the row's name in the statement */
export function engineIsAlive(row: string): string {
  return `(${heardWithin(row, LATE)}
    or (${heardWithin(row, SILENT)} and (not ${row}.has_lease or ${leaseIsHeld(row)})))`;
}

/** SQL: whether the engine that a claim names gives a sign of life. @param owner an expression for its id; null is nobody */
export function ownerIsAlive(owner: string): string {
  return `exists (select 1 from execution_engines g where g.id = ${owner} and ${engineIsAlive('g')})`;
}

/** SQL: the moment from which an engine that is heard now judges those that it does not hear from now on. */
export const SETTLES_AT = `now() + greatest(${MIN_RETURN}, least(${MAX_RETURN},
  now() - (select max(a.heartbeat_at) from execution_engines a)))`;

/** SQL: whether the engine has been heard since, or the time to come back is over. */
const silenceIsItsOwn = (observer: string, row: string) =>
  `${row}.heartbeat_at between ${observer}.heard_since and now() + ${LATE} or ${observer}.settled_at <= now()`;

/** An engine that has only just begun has come back from nothing: by a lease that this server has lost it judges at once. */
function mayJudge(observer: string, row: string): string {
  return `(${silenceIsItsOwn(observer, row)}
    or (${observer}.heard_since = ${observer}.started_at and ${row}.has_lease
        and ${row}.heartbeat_at > ${SERVER_BEGAN_AT} and not ${leaseIsHeld(row)}))`;
}

const wasAwayFor = (time: string) => (row: string) =>
  `(not ${row}.heartbeat_at between now() - ${time} and now() + ${LATE})`;

/** Its session is that of its last heartbeat, or its connections were cut. */
const sessionIsNew = (row: string) =>
  `exists (select from pg_stat_get_activity(pg_backend_pid()) a where a.backend_start > ${row}.heartbeat_at)`;

/** Leases tell, and each engine has one session for its heartbeats. */
export const BY_LEASE: SignsOfLife = {
  engineIsAlive,
  mayJudge,
  wasAway: (row) => `(${wasAwayFor(AWAY)(row)} or ${sessionIsNew(row)})`,
  leaseIsHeld,
};

/** Leases tell, and heartbeats come in other sessions each time. */
const BY_LEASE_OF_OTHERS: SignsOfLife = { ...BY_LEASE, wasAway: wasAwayFor(AWAY_WITHOUT_SESSION) };

/** Portable: there are no leases. */
export const BY_HEARTBEAT: SignsOfLife = {
  engineIsAlive: (row) => `(${heardWithin(row, SILENT)})`,
  mayJudge: (observer, row) => `(${silenceIsItsOwn(observer, row)})`,
  wasAway: wasAwayFor(AWAY),
  leaseIsHeld: () => 'false',
};

/** @param sessionsLast whether the session of an engine's heartbeats is the same each time */
export function signsOfLife(advisoryLocks: boolean, sessionsLast: boolean): SignsOfLife {
  if (!advisoryLocks) return BY_HEARTBEAT;
  return sessionsLast ? BY_LEASE : BY_LEASE_OF_OTHERS;
}
