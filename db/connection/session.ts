/**
 * The settings of every session of the engine: PostgreSQL's parameters, type parsers and timeouts. Also the errors
 * which mean that the session is gone.
 *
 * The settings are made by one statement right after connecting and not by the `options` startup parameter. That way
 * a server that lacks one of them (an older PostgreSQL, a compatible database) ignores it, a session
 * pooler lets it pass, and the `options` of the user's own URL stay intact.
 *
 * Invariants
 * 1. Time is UTC in every session (behind a pooler: in every transaction), and a `timestamp` without zone is read as UTC.
 * 2. Every statement, lock wait and open transaction is bounded, on the server and on the client.
 */
import pg from 'pg';
import { withLibpqModes } from './database-url.ts';

export interface SessionOptions {
  /** Shown in pg_stat_activity: `engine/<id>/<role>`. */
  applicationName: string;
  /** Per statement, in milliseconds; 0: unbounded (migrations). Default 15 s. */
  statementTimeoutMs?: number;
  /** Longest wait for one lock, in milliseconds. Default 5 s. */
  lockTimeoutMs?: number;
  /** Per connection attempt, in milliseconds. Default 5 s. */
  connectTimeoutMs?: number;
  /**
   * Every statement uses indexes, in the order of its arrays. Plans must not depend on statistics, which are
   * stale right after a burst, or on the size of a table when its statements were prepared.
   */
  byIndex?: boolean;
  /** It holds a lease: the server notices within five seconds that the machine of its client is gone. */
  isLease?: boolean;
  /** A pooler lends a server session for one transaction at a time: no setting may last longer (lent-client.ts). */
  pooled?: boolean;
  /** The isolation of transactions is the database's own. */
  portable?: boolean;
}

const DEFAULT_STATEMENT_TIMEOUT_MS = 15_000;
const DEFAULT_LOCK_TIMEOUT_MS = 5_000;
const DEFAULT_CONNECT_TIMEOUT_MS = 5_000;
/** Time that the client waits for an answer beyond the server's timeout, before it closes the connection. */
const ANSWER_GRACE_MS = 5_000;
/** A transaction may hold several statements: two statement timeouts, 30 s by default. */
const TRANSACTION_TIMEOUT_FACTOR = 2;

/** Returns the settings of a session, by their PostgreSQL names. */
export function sessionSettings(options: SessionOptions): Record<string, string> {
  const statementMs = options.statementTimeoutMs ?? DEFAULT_STATEMENT_TIMEOUT_MS;
  return {
    timezone: 'UTC',
    ...(options.portable ? {} : { default_transaction_isolation: 'read committed' }),
    statement_timeout: `${statementMs}ms`,
    transaction_timeout: `${statementMs * TRANSACTION_TIMEOUT_FACTOR}ms`,
    lock_timeout: `${options.lockTimeoutMs ?? DEFAULT_LOCK_TIMEOUT_MS}ms`,
    idle_in_transaction_session_timeout: '5s',
    client_connection_check_interval: '1s',
    ...(options.isLease ? SHORT_KEEPALIVES : KEEPALIVES),
    // Row estimates of batches are bad (unnest), and compiling a plan that runs for a millisecond takes a hundred.
    jit: 'off',
    ...(options.byIndex ? BY_INDEX : {}),
  };
}

const KEEPALIVES = {
  tcp_keepalives_idle: '5',
  tcp_keepalives_interval: '2',
  tcp_keepalives_count: '3',
};
const SHORT_KEEPALIVES = {
  tcp_keepalives_idle: '2',
  tcp_keepalives_interval: '1',
  tcp_keepalives_count: '3',
};

const BY_INDEX = {
  enable_hashjoin: 'off',
  enable_mergejoin: 'off',
  enable_seqscan: 'off',
  plan_cache_mode: 'force_generic_plan',
};

/** Returns node-pg's configuration of one connection; `prepareSession` makes the settings afterwards. */
export function connectionConfig(url: string, options: SessionOptions): pg.ClientConfig {
  const statementMs = options.statementTimeoutMs ?? DEFAULT_STATEMENT_TIMEOUT_MS;
  return {
    connectionString: withLibpqModes(url),
    application_name: options.applicationName,
    connectionTimeoutMillis: options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: 5_000,
    types: { getTypeParser } as pg.CustomTypesConfig,
    ...(statementMs > 0 ? { query_timeout: statementMs + ANSWER_GRACE_MS } : {}),
  };
}

// Unknown settings are skipped; `false` makes a setting last for the session.
const SET_ALL = `
  select set_config(wanted.name, wanted.value, false)
  from unnest($1::text[], $2::text[]) as wanted(name, value)
  where current_setting(wanted.name, true) is not null`;

/** Makes the settings of a fresh connection. Throws errors of the connection. */
export async function prepareSession(client: pg.ClientBase, options: SessionOptions): Promise<void> {
  if (options.pooled) return;
  const settings = Object.entries(sessionSettings(options));
  try {
    await client.query(SET_ALL, [settings.map(([name]) => name), settings.map(([, value]) => value)]);
  } catch (error) {
    if (isConnectionError(error)) throw error;
    // A platform may have a setting and refuse its value (client_connection_check_interval on Windows).
    for (const [name, value] of settings) {
      await client.query(SET_ALL, [[name], [value]]).catch((refusal: unknown) => {
        if (isConnectionError(refusal)) throw refusal;
      });
    }
  }
}

const INT8 = 20;
const TIMESTAMP = 1114;

function parseInt8(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value))
    throw new RangeError(`bigint ${text} is outside the safe integers of JavaScript`);
  return value;
}

const parseTimestamptz = pg.types.getTypeParser(1184, 'text') as (text: string) => Date | number;
const parseTimestampUtc = (text: string) => parseTimestamptz(text.endsWith('infinity') ? text : `${text}+00`);

/** Parsers of this module only: the global ones belong to other users of node-pg in this process. */
function getTypeParser(oid: number, format?: 'text' | 'binary'): unknown {
  if (format !== 'binary') {
    if (oid === INT8) return parseInt8;
    if (oid === TIMESTAMP) return parseTimestampUtc;
  }
  return pg.types.getTypeParser(oid, format as 'text');
}

/**
 * SQLSTATEs after which the session is over or never existed: class 08, shutdowns, and the fatal timeouts. Also
 * 25006: the server is read-only, as after a failover; the next connection may reach the primary.
 */
const FATAL_STATES = new Set(['57P01', '57P02', '57P03', '57P05', '25P03', '25P04', '53300', '25006']);
const NETWORK_CODES = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOENT',
  'EADDRNOTAVAIL',
]);
// node-pg's own errors have no codes.
const DRIVER_MESSAGES =
  /^(Connection terminated|Query read timeout|timeout expired|timeout exceeded when trying|Client has encountered a connection error|Client was closed|Cannot use a pool after)/;

/**
 * SQLSTATEs of a working database that cannot do it now: resources (class 53), timeouts, deadlock, serialization.
 * Also 40003: the database itself does not know whether the statement was completed.
 */
const BUSY_STATES = /^(53...|57014|55P03|40P01|40001|40003)$/;

/** Returns whether an error means that the database is unavailable at present: a later retry may succeed. */
export function isUnavailable(error: unknown): boolean {
  return isConnectionError(error) || BUSY_STATES.test(String((error as { code?: unknown } | null)?.code));
}

/**
 * Returns whether one part of a batch may be to blame, so that the rest would succeed without it. Of the errors of an
 * unavailable database, that holds for statements that ran or waited for too long.
 */
export function mayBeOfOne(error: unknown): boolean {
  return !isUnavailable(error) || /^(57014|55P03)$/.test(String((error as { code?: unknown }).code));
}

/**
 * Returns whether an error means that the connection is gone or could not be made. Statements in flight may or may
 * not have been committed; retry on another connection.
 */
export function isConnectionError(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = (error as { code?: unknown }).code;
  if (typeof code === 'string') {
    if (code.startsWith('08') || FATAL_STATES.has(code) || NETWORK_CODES.has(code)) return true;
  }
  return DRIVER_MESSAGES.test(error.message);
}
