/**
 * The cost of a workload beside time: CPU of the measured process and of its server, and the counters of PostgreSQL
 * (statements, transactions, WAL, fsyncs).
 *
 * CPU is read from /proc and is null elsewhere. PostgreSQL's backends hand in their counters when they end at
 * the latest, so transactions and fsyncs are read after the measured process has gone.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import type { Pool } from '../db/connection/client.ts';
import { OBSERVED } from './subject/protocol.ts';

const MS_PER_TICK = 10;

interface ProcessTimes {
  readonly pid: number;
  readonly parent: number;
  readonly ownMs: number;
  /** Of its children that have ended. */
  readonly buriedMs: number;
}

/** Milliseconds of CPU used so far by a process and everything it started; null where /proc is missing. */
export function cpuMs(pid: number): number | null {
  if (!existsSync('/proc/self/stat')) return null;
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap(timesOf);
  const family = new Set([pid]);
  // A child's number may be lower than its parent's, so until nothing is added.
  for (let before = 0; before < family.size; ) {
    before = family.size;
    for (const { pid: member, parent } of all) if (family.has(parent)) family.add(member);
  }
  return all
    .filter((process) => family.has(process.pid))
    .reduce((sum, { ownMs, buriedMs }) => sum + ownMs + buriedMs, 0);
}

function timesOf(pid: string): ProcessTimes[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    const [user, system, buriedUser, buriedSystem] = fields.slice(11, 15) as [number, number, number, number];
    return [
      {
        pid: Number(pid),
        parent: fields[1]!,
        ownMs: (user + system) * MS_PER_TICK,
        buriedMs: (buriedUser + buriedSystem) * MS_PER_TICK,
      },
    ];
  } catch {
    return [];
  }
}

/** Milliseconds of CPU of the whole machine that were not idle; null where /proc is missing. */
export function machineBusyMs(): number | null {
  if (!existsSync('/proc/stat')) return null;
  const [user, nice, system, , , irq, softirq, steal] = readFileSync('/proc/stat', 'utf8')
    .split('\n')[0]!
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return (user! + nice! + system! + irq! + softirq! + steal!) * MS_PER_TICK;
}

/** The postmaster's process id, from the folder the embedded server was started in. */
export async function postmasterPid(admin: Pool): Promise<number> {
  const { rows } = await admin.query('show data_directory');
  return Number(readFileSync(`${rows[0].data_directory}/postmaster.pid`, 'utf8').split('\n')[0]);
}

/** Counters since the server's start. */
export interface Counters {
  readonly statements: number;
  readonly transactions: number;
  readonly fsyncs: number;
}

/** PostgreSQL's own statement, run at commit for a deferred constraint. */
const FOREIGN_KEY_CHECK = 'SELECT % FROM ONLY % FOR KEY SHARE OF x';

/** @param admin connected to another database than the one asked about, or its own work is counted */
export async function readCounters(admin: Pool, database: string): Promise<Counters> {
  await untilAlone(admin, database);
  const { rows } = await admin.query(
    `select
       (select coalesce(sum(s.calls), 0) from pg_stat_statements s join pg_database d on d.oid = s.dbid
         where d.datname = $1 and s.toplevel and position('${OBSERVED}' in s.query) = 0
           and s.query not like '${FOREIGN_KEY_CHECK}')::float8 as statements,
       (select xact_commit + xact_rollback from pg_stat_database where datname = $1)::float8 as transactions,
       (select coalesce(sum(fsyncs), 0) from pg_stat_io where object = 'wal')::float8 as fsyncs`,
    [database],
  );
  return rows[0];
}

/** Bytes of WAL ever written. Of the whole server, and known at once. */
export async function walBytes(admin: Pool): Promise<number> {
  const { rows } = await admin.query(`select (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::float8 as bytes`);
  return rows[0].bytes;
}

async function untilAlone(admin: Pool, database: string): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    const { rows } = await admin.query(
      `select count(*)::int as others from pg_stat_activity where datname = $1 and backend_type = 'client backend'`,
      [database],
    );
    if (rows[0].others === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

export function perUnit(counters: Counters, units: number): Counters {
  return {
    statements: counters.statements / units,
    transactions: counters.transactions / units,
    fsyncs: counters.fsyncs / units,
  };
}

/** The difference of `whole` and `part`, counter by counter. */
export function beyond(whole: Counters, part: Counters): Counters {
  return {
    statements: whole.statements - part.statements,
    transactions: whole.transactions - part.transactions,
    fsyncs: whole.fsyncs - part.fsyncs,
  };
}
