/**
 * The lease of an engine process: an advisory lock that its session holds. PostgreSQL releases it the moment the
 * process dies, so that its peers need not wait for a missing heartbeat.
 *
 * A lease is evidence, not proof: a broken connection or a restart of the database releases it too, while its holder
 * is alive. engine-alive.ts draws the conclusions.
 */
import pg from 'pg';
import { connectionConfig, prepareSession, type SessionOptions } from './session.ts';
import { keepConnection, type StandingConnection } from './standing-connection.ts';

/** The first of the two numbers of every lease; advisory locks are shared with all other users of the database. */
export const LEASE_CLASS = 1_163_413_829;

/** Returns SQL for the second number of an engine's lease. @param id an expression for the engine's id */
export function leaseKey(id: string): string {
  return `hashtext(${id}::text)`;
}

/** Finds a silent partition within seconds; the system's default takes two hours. */
const SHORT_KEEPALIVES = `
  select set_config('tcp_keepalives_idle', '3', false), set_config('tcp_keepalives_interval', '1', false),
         set_config('tcp_keepalives_count', '3', false)`;

/** Holds the lease of an engine until closed, and acquires it again whenever its connection was lost. */
export function holdLease(
  url: string,
  engineId: string,
  onError: (error: unknown) => void,
): StandingConnection {
  const take = async (client: pg.Client) => {
    await client.query(SHORT_KEEPALIVES);
    await client.query(`select pg_advisory_lock($1, ${leaseKey('$2')})`, [LEASE_CLASS, engineId]);
    // Written at once, before the next heartbeat: an engine that dies in between then counts as dead at once.
    await client.query('update execution_engines set has_lease = true where id = $1', [engineId]);
  };
  return keepConnection(url, take, {
    applicationName: `engine/${engineId}/lease`,
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
