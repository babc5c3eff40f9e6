/**
 * The three kinds of connections the engine has: pools for transactions, one listener for wake-ups, and
 * pipelines for the hot path. All access to PostgreSQL goes through one of these.
 *
 * Not here: SQL of the engine's own tables, and pg-boss's connections (it has its own pool).
 *
 * Invariants
 * 1. A transaction that returned was committed: the answer to COMMIT is checked, because PostgreSQL answers a
 *   COMMIT of a failed transaction with ROLLBACK and no error.
 * 2. A connection that met an unknown error is closed, never reused.
 */
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { lentClient } from './lent-client.ts';
import { runAgain } from './run-again.ts';
import { connectionConfig, isConnectionError, prepareSession, type SessionOptions } from './session.ts';

export type Pool = pg.Pool;
/** Can read, and write single statements: a pool, a connection, or a transaction. */
export type Db = Pick<pg.ClientBase, 'query'>;
/** A connection inside a transaction: what a function that writes takes first. */
export type Tx = pg.PoolClient;

export interface PoolOptions extends SessionOptions {
  /** Most connections at a time. */
  max: number;
  /** Called for idle connections that broke; they are replaced automatically. */
  onError?: (error: Error) => void;
}

/**
 * Creates a pool whose sessions all have the engine's settings (session.ts). Opens no connection yet.
 * `connect` and `query` throw when no connection is free or can be made within connectTimeoutMs.
 */
export function createPool(url: string, options: PoolOptions): Pool {
  const pool = new pg.Pool({
    ...connectionConfig(url, options),
    max: options.max,
    idleTimeoutMillis: 60_000,
    // Awaited by pg-pool: a connection is handed out only once its settings are made.
    ...(options.pooled
      ? { Client: lentClient(options) }
      : { onConnect: (client: pg.ClientBase) => prepareSession(client, options) }),
  });
  if (options.portable) runStatementsAgain(pool);
  pool.on('error', (error) => options.onError?.(error));
  // A connection that breaks while in use rejects its running statements. Without a listener
  // the same error would also end the process.
  pool.on('connect', (client) => client.on('error', () => {}));
  return pool;
}

/** Retries single statements: one that failed to serialize has changed nothing. */
function runStatementsAgain(pool: Pool): void {
  const query = pool.query.bind(pool) as (...all: unknown[]) => Promise<unknown>;
  pool.query = ((...all: unknown[]) => runAgain(() => query(...all))) as Pool['query'];
}

/** COMMIT was answered with ROLLBACK: an earlier statement failed and its error was swallowed. */
export class TransactionRolledBack extends Error {
  constructor() {
    super('The transaction was rolled back: a statement in it had failed and its error was not thrown on');
    this.name = 'TransactionRolledBack';
  }
}

/**
 * Runs `work` in a transaction at READ COMMITTED (in portable mode: at the database's own isolation). Commits when it
 * returns; rolls back and rethrows when it throws. When the connection breaks during COMMIT the outcome is unknown
 * (`isConnectionError`): callers must be able to run the same work again.
 */
export async function withTransaction<T>(pool: Pool, work: (tx: Tx) => Promise<T>): Promise<T> {
  const tx = await pool.connect();
  let broken = false;
  try {
    await tx.query('begin');
    const result = await work(tx);
    const { command } = await tx.query('commit');
    if (command !== 'COMMIT') throw new TransactionRolledBack();
    return result;
  } catch (error) {
    broken = !(await rollBack(tx, error));
    throw error;
  } finally {
    tx.release(broken);
  }
}

/** Returns whether the connection is clean again. */
async function rollBack(tx: Tx, reason: unknown): Promise<boolean> {
  if (reason instanceof TransactionRolledBack) return true;
  if (isConnectionError(reason)) return false;
  return tx.query('rollback').then(
    () => true,
    () => false,
  );
}

/**
 * Reads that survive a lost connection: a query is retried, with growing pauses, until the database answers or the
 * pool is ended. For reads only, because a write whose connection broke may have been committed.
 *
 * @throws errors of the database; connection errors only when the pool is ended
 */
export function patientReads(pool: Pool): Db {
  const query = async (...parameters: unknown[]): Promise<unknown> => {
    for (let failures = 0; ; failures += 1) {
      try {
        return await (pool.query as (...all: unknown[]) => Promise<unknown>).apply(pool, parameters);
      } catch (error) {
        if (pool.ending || !isConnectionError(error)) throw error;
        await delay(Math.min(LONGEST_PAUSE_MS, 2 ** failures * 10));
      }
    }
  };
  return { query: query as Db['query'] };
}

const LONGEST_PAUSE_MS = 1_000;

export type Statement = string | pg.QueryConfig<unknown[]>;

export interface Pipeline extends Db {
  /**
   * Sends begin, the statements and commit in one batch. Throws the first error, in the order of the
   * statements. Nothing was committed then, unless the connection broke (`isConnectionError`): the outcome is
   * unknown.
   */
  transaction(statements: readonly Statement[]): Promise<pg.QueryResult[]>;
  /** False from the moment the connection is known to be gone. */
  readonly usable: boolean;
  /** Resolves when the connection is gone, with the reason; null after `close`. Never rejects. */
  readonly lost: Promise<Error | null>;
  /** Waits for the statements already sent, then closes. */
  close(): Promise<void>;
}

/**
 * One dedicated connection on which statements are sent without waiting for earlier answers.
 *
 * Statements submitted in the same tick stay next to each other, so `transaction` may be called from many places at
 * once.
 * A transaction with an `await` between its statements is not possible here: statements of other callers would get
 * into it.
 * Reconnecting is up to the caller (`lost`).
 */
export async function connectPipeline(url: string, options: SessionOptions): Promise<Pipeline> {
  const Client = options.pooled ? lentClient(options) : pg.Client;
  const client = new Client({ ...connectionConfig(url, options), pipeline: true });
  let usable = true;
  const { promise: lost, resolve } = Promise.withResolvers<Error | null>();
  const lose = (reason: Error | null) => {
    usable = false;
    resolve(reason);
  };
  client.on('error', lose);
  client.on('end', () => lose(null));
  await client.connect();
  await prepareSession(client, options);
  return {
    query: client.query.bind(client) as Db['query'],
    transaction: (statements) => sendTransaction(client, statements),
    get usable() {
      return usable;
    },
    lost,
    close: () => {
      lose(null);
      return client.end();
    },
  };
}

async function sendTransaction(
  client: pg.Client,
  statements: readonly Statement[],
): Promise<pg.QueryResult[]> {
  const sent = ['begin', ...statements, 'commit'].map((statement) => client.query(statement));
  const answers = await Promise.allSettled(sent);
  const failure = answers.find((answer) => answer.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
  const results = answers.map((answer) => (answer as PromiseFulfilledResult<pg.QueryResult>).value);
  if (results.at(-1)!.command !== 'COMMIT') throw new TransactionRolledBack();
  return results.slice(1, -1);
}
