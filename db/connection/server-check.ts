/**
 * Checks the PostgreSQL server behind a URL: refuses an unusable one, and warns of settings that may lose data.
 *
 * Not here: the schema (migrate.ts) and pg-boss's tables (queue/boss.ts).
 */
import pg from 'pg';
import type { Db } from './client.ts';
import { placeOf } from './database-url.ts';
import type { RouteOptions } from './features.ts';
import { detectPooler } from './pooler.ts';
import { connectionConfig, prepareSession, type SessionOptions } from './session.ts';
import { settleTls, tlsAdvice } from './tls.ts';

/** `gen_random_uuid()` is built in since PostgreSQL 13, which pg-boss requires too. */
const OLDEST = { number: 130_000, name: '13' };

/** Settings that must be on for the database to keep acknowledged data. */
const DURABILITY = {
  fsync:
    'what was acknowledged is lost, and the data may be damaged, when the machine of the database goes down',
  full_page_writes: 'a page that was half written when the machine went down cannot be restored',
  synchronous_commit: 'what was acknowledged in the last moments is lost when the database goes down',
} as const;

export interface ServerState {
  /** Version as the server reports it. */
  readonly version: string;
  /** Reason why it cannot be used; null: it can. */
  readonly refusal: string | null;
  /** One sentence each. */
  readonly warnings: readonly string[];
}

const STATE = `
  select current_setting('server_version') as version, current_setting('server_version_num')::integer as number,
         pg_is_in_recovery() as standby, current_setting('transaction_read_only') as read_only,
         current_setting('fsync', true) as fsync, current_setting('full_page_writes', true) as full_page_writes,
         current_setting('synchronous_commit', true) as synchronous_commit`;

/** Equal for two routes to the same database. */
const IDENTITY = `
  select concat_ws(' ', current_database(), d.oid, extract(epoch from pg_postmaster_start_time())) as identity
    from pg_database d where d.datname = current_database()`;

/** Returns the current state of the server: it may become a standby, and settings may change, while it runs. */
export async function readServerState(
  db: Db,
  { isPooled = false, timeoutMs }: { isPooled?: boolean; timeoutMs?: number } = {},
): Promise<ServerState> {
  const { rows } = await db.query({
    text: STATE,
    ...(isPooled ? {} : { name: 'server_state', values: [] }),
    ...(timeoutMs === undefined ? {} : { query_timeout: timeoutMs }),
  });
  const [row] = rows;
  const warnings = Object.entries(DURABILITY)
    .filter(([name]) => row[name] === 'off')
    .map(([name, loss]) => `${name} is off: ${loss}. Turn it on.`);
  return { version: row.version, refusal: refusalOf(row), warnings };
}

function refusalOf(row: {
  version: string;
  number: number;
  standby: boolean;
  read_only: string;
}): string | null {
  if (row.number < OLDEST.number)
    return `is PostgreSQL ${row.version}; accepted: version ${OLDEST.name} or newer`;
  if (row.standby) return 'is a standby, which cannot be written; accepted: the primary';
  if (row.read_only === 'on')
    return 'opens read-only transactions (default_transaction_read_only); accepted: one that can be written';
  return null;
}

const POOLED =
  'A pooler in transaction mode is between the engine and PostgreSQL: LISTEN and the lease by which a dead engine is ' +
  'noticed at once do not work through it, so that another engine is noticed after a second and a dead one after ' +
  'eight. Set DATABASE_DIRECT_URL to one that leads past the pooler, or connect directly or through a pooler in ' +
  'session mode.';
const DIRECT_IS_POOLED =
  'DATABASE_DIRECT_URL leads through a pooler in transaction mode as well, and is not used; accepted: one that leads ' +
  'past it.';

export interface CheckedServer extends ServerState {
  readonly isPooled: boolean;
  /** The URL to use, with `sslmode=prefer` resolved. */
  readonly url: string;
  /** The URL past the pooler; null: none. */
  readonly directUrl: string | null;
}

/**
 * Checks the server once, before any write. The warnings include a pooler that is in the way.
 * @throws Error that names the variable, the fault and the accepted values, or errors of the connection
 */
export async function checkServer(
  url: string,
  { backend = 'postgres', directUrl = null }: Partial<Pick<RouteOptions, 'backend' | 'directUrl'>> = {},
): Promise<CheckedServer> {
  const own = await lookAt(url, 'DATABASE_URL', backend);
  const { state, isPooled } = own;
  const direct = directUrl === null ? null : await lookAt(directUrl, 'DATABASE_DIRECT_URL', backend);
  if (direct !== null && direct.identity !== own.identity)
    throw new Error(
      'DATABASE_DIRECT_URL leads to another database than DATABASE_URL; accepted: another way to the same one.',
    );
  const usableUrl = direct === null || direct.isPooled ? null : direct.url;
  const warnings = [...state.warnings];
  if (direct?.isPooled) warnings.push(DIRECT_IS_POOLED);
  // Portable mode has neither feature, with or without a pooler.
  else if (isPooled && usableUrl === null && backend === 'postgres') warnings.push(POOLED);
  return { ...state, warnings, isPooled, url: own.url, directUrl: usableUrl };
}

async function lookAt(url: string, variable: string, backend: RouteOptions['backend']) {
  try {
    const settled = await settleTls(url);
    return { ...(await look(settled, variable, backend)), url: settled };
  } catch (error) {
    throw explained(error, variable, url);
  }
}

/** The system error codes and SQLSTATEs of a database that cannot be reached or refuses us. */
const UNREACHABLE = /^(ECONN|ENOTFOUND|ENOENT|EAI_|EHOST|ETIMEDOUT|28|3D|42501|57P03|08)/;

/** Returns an error that names the variable of an unusable database, and the place it points to. */
function explained(error: unknown, variable: string, url: string): unknown {
  const { code, message } = error as { code?: unknown; message?: unknown };
  const tls = tlsAdvice(error, url);
  if (tls === null && (typeof code !== 'string' || !UNREACHABLE.test(code))) return error;
  const accepted =
    'accepted: the URL of a PostgreSQL that answers, with a user that may log in and an existing database, such as ' +
    'postgres://user:password@host:5432/name';
  const text = `${variable} names a database that cannot be used (${placeOf(url)}): ${message}; ${tls ?? accepted}`;
  return Object.assign(new Error(text, { cause: error }), { code });
}

async function look(url: string, variable: string, backend: RouteOptions['backend']) {
  const session = { applicationName: 'engine/check', portable: backend !== 'postgres' };
  const lookFrom = async (client: pg.Client, pooled: boolean) => {
    await prepareSession(client, { ...session, pooled });
    const state = await readServerState(client, { isPooled: pooled });
    if (state.refusal !== null) throw new Error(`${variable} names a database that ${state.refusal}.`);
    // A cluster has many servers, and no pooler to go past.
    const identity = backend === 'postgres' ? (await client.query(IDENTITY)).rows[0].identity : null;
    return { state, isPooled: pooled, identity };
  };
  const direct = await connected(url, session, async (client) =>
    (await detectPooler(client, url)) ? null : lookFrom(client, false),
  );
  // Queries of the first connection may still wait for a session of the pooler's.
  return direct ?? connected(url, session, (client) => lookFrom(client, true));
}

async function connected<T>(
  url: string,
  session: SessionOptions,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client(connectionConfig(url, session));
  client.on('error', () => {});
  try {
    await client.connect();
    return await work(client);
  } finally {
    await client.end().catch(() => {});
  }
}
