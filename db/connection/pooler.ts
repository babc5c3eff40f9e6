/**
 * Detects a pooler between this process and PostgreSQL that lends out server sessions for one transaction at a time
 * (PgBouncer's `transaction` and `statement` mode, and the like).
 *
 * Without such a pooler, every statement of a session is answered by one server process, and no other session is. A
 * busy pooler may happen to look like that: a connection that got no key of its server process at login goes through
 * some pooler, and is tested for longer.
 */
import pg from 'pg';
import { connectionConfig } from './session.ts';

const SESSION = { applicationName: 'engine/check', connectTimeoutMs: 5_000 };
/** Largest number of other connections that hold a transaction, so that a pooler has to lend our session out. */
const OTHERS = 2;
/** Most time spent on the test. A session without a pooler is recognized at once. */
const PATIENCE_MS = 3_000;
/** Rounds of simultaneous queries, in another order each time: a false result has a chance of one in six per round. */
const ROUNDS = 12;
const PID = 'select pg_backend_pid() as pid';

/**
 * Opens other connections for a moment: one where the connection has the key of its server process, as it does without a
 * pooler. @param own is connected @throws errors of this connection
 */
export async function detectPooler(own: pg.Client, url: string): Promise<boolean> {
  const others: pg.Client[] = [];
  const connect = async () => {
    const client = new pg.Client(connectionConfig(url, SESSION));
    client.on('error', () => {});
    others.push(client);
    await client.connect();
    return client;
  };
  try {
    const pid = await pidOf(own);
    const { processID } = own as unknown as { processID: number | null };
    const hasOwnKey = processID === pid;
    for (let other = 0; other < (hasOwnKey ? 1 : OTHERS); other += 1) {
      const lent = await pidInTransaction(connect);
      if (lent === pid || lent === 'refused') return true;
      if ((await pidOf(own).catch(() => null)) !== pid) return true;
    }
    return !hasOwnKey && (await sessionsMix([own, ...others]));
  } finally {
    await Promise.all(others.map((client) => client.end().catch(() => {})));
  }
}

async function pidOf(client: pg.Client): Promise<number> {
  const { rows } = await client.query({ text: PID, query_timeout: PATIENCE_MS } as pg.QueryConfig);
  return rows[0].pid;
}

/** Returns whether connections that query side by side are answered by one another's server processes. */
async function sessionsMix(clients: readonly pg.Client[]): Promise<boolean> {
  await Promise.all(clients.map((client) => client.query('rollback').catch(() => {})));
  const first = new Map<pg.Client, number>();
  for (let round = 0; round < ROUNDS; round += 1) {
    const order = clients.toSorted(() => Math.random() - 0.5);
    const pids = await Promise.all(order.map((client) => pidOf(client).catch(() => null)));
    for (const [at, pid] of pids.entries()) {
      if (pid === null) continue;
      const seen = first.get(order[at]!) ?? pid;
      if (seen !== pid) return true;
      first.set(order[at]!, pid);
    }
  }
  return false;
}

/** Leaves the transaction open. 'refused': the pooler allows no transactions. Null: no answer, hence no evidence. */
async function pidInTransaction(connect: () => Promise<pg.Client>): Promise<number | 'refused' | null> {
  try {
    const client = await connect();
    await client.query({ text: 'begin', query_timeout: PATIENCE_MS } as pg.QueryConfig);
    return await pidOf(client);
  } catch (error) {
    return /statement pooling/i.test((error as Error).message) ? 'refused' : null;
  }
}
