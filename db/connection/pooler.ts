/**
 * Whether a pooler that lends out server sessions for one transaction at a time (PgBouncer's `transaction` and
 * `statement` mode, and their like) is between this process and PostgreSQL.
 *
 * A session of one's own answers every statement from the same server process, and nobody else's come from it. While
 * others keep a pooler busy it may happen to look like that: a connection that did not get the key of its server
 * process at the login has a pooler before it, and is looked at for longer.
 */
import pg from 'pg';
import { connectionConfig } from './session.ts';

const SESSION = { applicationName: 'engine/check', connectTimeoutMs: 5_000 };
/** How many others hold a transaction, so that a pooler has to lend out what was ours. */
const OTHERS = 2;
/** Who has a session of its own is answered at once. */
const PATIENCE_MS = 3_000;
/** Of connections that ask at the same moment, in another order each time: chance is one in six per round. */
const ROUNDS = 12;
const PID = 'select pg_backend_pid() as pid';

/** Makes three connections for a moment. @throws what the first connection throws */
export async function detectPooler(url: string): Promise<boolean> {
  const clients: pg.Client[] = [];
  const connect = async () => {
    const client = new pg.Client(connectionConfig(url, SESSION));
    client.on('error', () => {});
    clients.push(client);
    await client.connect();
    return client;
  };
  try {
    const own = await connect();
    const pid = await pidOf(own);
    for (let other = 0; other < OTHERS; other += 1) {
      const lent = await pidInTransaction(connect);
      if (lent === pid || lent === 'refused') return true;
      if ((await pidOf(own).catch(() => null)) !== pid) return true;
    }
    const { processID } = own as unknown as { processID: number | null };
    return processID !== pid && (await sessionsMix(clients));
  } finally {
    await Promise.all(clients.map((client) => client.end().catch(() => {})));
  }
}

async function pidOf(client: pg.Client): Promise<number> {
  const { rows } = await client.query({ text: PID, query_timeout: PATIENCE_MS } as pg.QueryConfig);
  return rows[0].pid;
}

/** Whether connections that ask side by side are answered by one another's server processes. */
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

/** Leaves the transaction open. Refused: the pooler knows no transactions. Null: no answer, which says nothing. */
async function pidInTransaction(connect: () => Promise<pg.Client>): Promise<number | 'refused' | null> {
  try {
    const client = await connect();
    await client.query({ text: 'begin', query_timeout: PATIENCE_MS } as pg.QueryConfig);
    return await pidOf(client);
  } catch (error) {
    return /statement pooling/i.test((error as Error).message) ? 'refused' : null;
  }
}
