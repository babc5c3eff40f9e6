/**
 * The leases of an engine process: advisory locks that two of its sessions hold. PostgreSQL releases them the moment
 * the process dies, so that its peers need not wait for a missing heartbeat.
 *
 * One session is kept for the lease alone, and peers can wait for its end. The other one is the session of the
 * heartbeats: it takes its lease with each of them, so an engine that was heard has a lease from then on. A single
 * connection that breaks leaves the other lease.
 *
 * A lease is evidence, not proof: broken connections or a restart of the database release both, while their holder is
 * alive. engine-alive.ts draws the conclusions.
 */
import pg from 'pg';
import { connectionConfig, prepareSession, type SessionOptions } from './session.ts';
import { keepConnection, type StandingConnection } from './standing-connection.ts';

/** The first of the two numbers of a lease; advisory locks are shared with all other users of the database. */
const LEASE_CLASS = 1_163_413_829;
/** The same of the leases of heartbeats. */
const HEARTBEAT_LEASE_CLASS = LEASE_CLASS + 1;

/** Returns SQL for the second number of an engine's lease. @param id an expression for the engine's id */
export function leaseKey(id: string): string {
  return `hashtext(${id}::text)`;
}

/**
 * SQL: takes the lease of heartbeats for its session; true. It is shared, so that a new session of an engine need not
 * wait for the end of a broken one; taking it again changes nothing.
 * @param id an expression for the engine's id
 */
export function heartbeatLease(id: string): string {
  return `pg_try_advisory_lock_shared(${HEARTBEAT_LEASE_CLASS}, ${leaseKey(id)})`;
}

/** SQL: the second numbers of all leases that are held in this database. */
export const HELD_LEASES = `array(
  select l.objid from pg_locks l
   where l.locktype = 'advisory' and l.objsubid = 2 and l.granted
     and (l.classid, l.mode) in ((${LEASE_CLASS}, 'ExclusiveLock'), (${HEARTBEAT_LEASE_CLASS}, 'ShareLock'))
     and l.database = (select d.oid from pg_database d where d.datname = current_database()))`;

/** Holds the lease of an engine until closed, and acquires it again whenever its connection was lost. */
export function holdLease(
  url: string,
  engineId: string,
  onError: (error: unknown) => void,
): StandingConnection {
  const take = async (client: pg.Client) => {
    await client.query(`select pg_advisory_lock($1, ${leaseKey('$2')})`, [LEASE_CLASS, engineId]);
    // Written at once, before the next heartbeat: an engine that dies in between then counts as dead at once.
    await client.query('update execution_engines set has_lease = true where id = $1', [engineId]);
  };
  return keepConnection(url, take, {
    applicationName: `engine/${engineId}/lease`,
    isLease: true,
    maxBackoffMs: 1_000,
    onError,
  });
}

const LOCK_NOT_AVAILABLE = '55P03';

/**
 * Resolves when the engine's lease is free; waits on a connection of its own.
 * @throws errors of the connection, and the signal's reason when it was aborted
 */
export async function leaseIsFree(
  url: string,
  engineId: string,
  session: SessionOptions,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const client = new pg.Client(connectionConfig(url, session));
  const { promise: stopped, reject } = Promise.withResolvers<never>();
  stopped.catch(() => {});
  client.on('error', reject);
  const stop = () => reject(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  try {
    await Promise.race([waitForLock(client, engineId, session, signal), stopped]);
  } finally {
    signal.removeEventListener('abort', stop);
    // The lock goes with its session. `end()` is unsuitable: the session may be waiting for ever.
    client.connection.stream.destroy();
  }
}

async function waitForLock(
  client: pg.Client,
  engineId: string,
  session: SessionOptions,
  signal: AbortSignal,
): Promise<void> {
  await client.connect();
  await prepareSession(client, session);
  while (!signal.aborted) {
    try {
      await client.query(`select pg_advisory_lock_shared($1, ${leaseKey('$2')})`, [LEASE_CLASS, engineId]);
      return;
    } catch (error) {
      // Still held after the session's lock timeout: keep waiting.
      if ((error as { code?: unknown }).code !== LOCK_NOT_AVAILABLE) throw error;
    }
  }
}
