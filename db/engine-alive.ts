/**
 * Whether the owner of a claim is alive: the one place that says so, for the takeover and for the doctor.
 *
 * An engine is dead when its heartbeat is old: its process is gone, frozen or cut off. One that held a lease is
 * dead as soon as the lease is free and a heartbeat is missing. Time is the database's.
 */
import { LEASE_CLASS, leaseKey } from './lease.ts';

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

/** SQL: whether the engine of this row of execution_engines is alive. @param row the row's name in the statement */
export function engineIsAlive(row: string): string {
  return `(${row}.heartbeat_at > now() - ${LATE_AFTER}
    or (${row}.heartbeat_at > now() - ${SILENT_AFTER}
        and (not ${row}.has_lease or ${leaseKey(`${row}.id`)}::oid = any(${HELD_LEASES}))))`;
}

/** SQL: whether the engine that a claim names is alive. @param owner an expression for its id; null is nobody */
export function ownerIsAlive(owner: string): string {
  return `exists (select 1 from execution_engines g where g.id = ${owner} and ${engineIsAlive('g')})`;
}

/**
 * SQL: whether this session has been there for long enough to judge others. A restart of the database frees every
 * lease and holds up every heartbeat: whoever is back first must give the others time to come back too.
 */
export const OBSERVER_IS_SETTLED = `
  (select a.backend_start from pg_stat_get_activity(pg_backend_pid()) a) < now() - interval '5 seconds'`;
