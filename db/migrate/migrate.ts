/**
 * Brings a database to the schema of this version: numbered SQL files, each applied once, in order, in a
 * transaction of its own that also records it (`execution_engine_migrations`).
 *
 * Several engines may start at the same moment: each migration takes a transaction-level advisory lock (or, where
 * the database has none, that of a row) and checks again before it runs. A killed run leaves whole migrations only.
 *
 * `{{pgboss}}` in a file stands for the quoted name of pg-boss's schema. The checksum is of the file before
 * replacement.
 *
 * Not here: pg-boss's own migrations.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { lockRow, makeLockTable } from '../connection/named-lock.ts';
import { runAgain } from '../connection/run-again.ts';
import { connectionConfig, prepareSession, type SessionOptions } from '../connection/session.ts';

export interface MigrateOptions {
  /** Folder of `NNNN_verb_noun.sql` files. */
  dir: string;
  /** Name of pg-boss's schema. */
  pgbossSchema: string;
  /** Changes nothing; `pending` in the result lists the migrations that would run. */
  dryRun?: boolean;
  /** Whether the database has advisory locks; default true. */
  advisoryLocks?: boolean;
  /** A pooler in transaction mode is in between (session.ts). */
  pooled?: boolean;
}

export interface Migration {
  /** File name. */
  readonly name: string;
  /** The SQL as it runs: placeholders replaced. */
  readonly sql: string;
  /** sha-256 of the file, in hex. */
  readonly checksum: string;
}

export interface MigrateResult {
  /** Names of the migrations that this call applied, in order. */
  applied: string[];
  /** With dryRun: the migrations that would have been applied. */
  pending: Migration[];
  /** Migrations of a newer version. They only add, so that this version can run beside it. */
  newer: string[];
}

/** The files or the database are in a wrong state. The message names the fault and the fix. */
export class MigrationError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'MigrationError';
  }
}

const FILE = /^(\d{4})_[a-z0-9_]+\.sql$/;
/** Earlier checksums of files in which only a comment has changed since, with the current ones. */
const SAME_STATEMENTS: Readonly<Record<string, string>> = {
  f2738c851ae647ad49239824cfd4ab48279459215bd14e428539076a20505241:
    'ccab2f407d2db7e154d6bf8114668ee7770d0939b2ed43bc04144cee801d7472',
};
/** An arbitrary number that only this purpose uses ('EENG' and 2). */
const LOCK = '297515501314';
/** The row that is locked instead, also by migrate-engine.ts. */
export const MIGRATIONS_LOCK = 'migrations';
const SESSION: SessionOptions = { applicationName: 'engine/migrate', statementTimeoutMs: 0 };
/** A migration that waits for a busy table gives up and retries, so that it never blocks others for long. */
const MAX_LOCK_TIMEOUTS = 20;
const LOCK_NOT_AVAILABLE = '55P03';

/** Reads the migrations of a folder, in order. Throws MigrationError for a wrong name or number. */
export async function readMigrations(dir: string, pgbossSchema: string): Promise<Migration[]> {
  const names = (await readdir(dir)).filter((name) => name.endsWith('.sql')).sort();
  const migrations: Migration[] = [];
  let number = '';
  for (const name of names) {
    const match = FILE.exec(name);
    if (match === null)
      throw new MigrationError(`${name} in ${dir} is not named like 0001_create_tables.sql`);
    if (match[1] === number)
      throw new MigrationError(`${name} in ${dir} has a number that another file has too`);
    number = match[1]!;
    const text = await readFile(join(dir, name), 'utf8');
    const checksum = createHash('sha256').update(text).digest('hex');
    migrations.push({
      name,
      sql: text.replaceAll('{{pgboss}}', pg.escapeIdentifier(pgbossSchema)),
      checksum,
    });
  }
  return migrations;
}

/**
 * Applies missing migrations. `database` is a URL. Throws MigrationError when an applied file was changed, when
 * the database was migrated by another line of versions, or when a migration fails (which is rolled back whole);
 * throws connection errors as they are.
 */
export function migrate(database: string, options: MigrateOptions): Promise<MigrateResult> {
  return onOwnSession(database, options, (client) => migrateOn(client, options));
}

/** Runs `work` on a connection of its own, whose statements have no time limit. */
export async function onOwnSession<T>(
  database: string,
  { advisoryLocks = true, pooled = false }: Pick<MigrateOptions, 'advisoryLocks' | 'pooled'>,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const session = { ...SESSION, pooled, portable: !advisoryLocks };
  const client = new pg.Client(connectionConfig(database, session));
  client.on('error', () => {});
  try {
    await client.connect();
    await prepareSession(client, session);
    return await work(client);
  } finally {
    await client.end().catch(() => {});
  }
}

/** As `migrate`, on a connection of `onOwnSession`. */
export async function migrateOn(client: pg.Client, options: MigrateOptions): Promise<MigrateResult> {
  const migrations = await readMigrations(options.dir, options.pgbossSchema);
  const { advisoryLocks = true } = options;
  const applied = options.dryRun ? [] : await applyAll(client, migrations, advisoryLocks);
  const books = await readBooks(client);
  return { applied, pending: pendingOf(migrations, books), newer: newerOf(migrations, books) };
}

async function applyAll(
  client: pg.Client,
  migrations: readonly Migration[],
  advisoryLocks: boolean,
): Promise<string[]> {
  const applied: string[] = [];
  if (!advisoryLocks) await makeLockTable(client);
  const locked: Locked = (work) => runAgain(() => inTurn(client, advisoryLocks, work));
  await locked(() => client.query(CREATE_BOOKS));
  for (const migration of pendingOf(migrations, await readBooks(client))) {
    if (await applyOnce(client, migration, migrations, locked)) applied.push(migration.name);
  }
  return applied;
}

const CREATE_BOOKS = `
  create table if not exists execution_engine_migrations (
    name text primary key,
    checksum text not null,
    applied_at timestamptz not null default now()
  )`;

/** Returns false when another engine was faster. */
async function applyOnce(
  client: pg.Client,
  migration: Migration,
  all: readonly Migration[],
  locked: Locked,
): Promise<boolean> {
  for (let timeouts = 0; ; timeouts += 1) {
    try {
      return await locked(async () => {
        if (!pendingOf(all, await readBooks(client)).includes(migration)) return false;
        await client.query(migration.sql);
        await client.query('insert into execution_engine_migrations (name, checksum) values ($1, $2)', [
          migration.name,
          migration.checksum,
        ]);
        return true;
      });
    } catch (error) {
      if (error instanceof MigrationError) throw error;
      if ((error as { code?: string }).code === LOCK_NOT_AVAILABLE && timeouts < MAX_LOCK_TIMEOUTS) continue;
      throw new MigrationError(
        `Migration ${migration.name} failed: ${describe(error, migration.sql)}`,
        error,
      );
    }
  }
}

type Locked = <T>(work: () => Promise<T>) => Promise<T>;

/** Runs `work` in a transaction under the lock of the migrations. */
async function inTurn<T>(client: pg.Client, advisoryLocks: boolean, work: () => Promise<T>): Promise<T> {
  await client.query('begin');
  try {
    // Waiting for other engines is unbounded; only the wait for a busy table has a timeout.
    await client.query('set local lock_timeout = 0');
    if (advisoryLocks) await client.query('select pg_advisory_xact_lock($1)', [LOCK]);
    else await lockRow(client, MIGRATIONS_LOCK);
    await client.query("set local lock_timeout = '2s'");
    const result = await work();
    const { command } = await client.query('commit');
    if (command !== 'COMMIT') throw new Error('the transaction was rolled back');
    return result;
  } catch (error) {
    await client.query('rollback').catch(() => {});
    throw error;
  }
}

type Books = ReadonlyMap<string, string>;

/** Returns the checksums of the applied migrations by name; empty when the database has no record of any yet. */
async function readBooks(client: pg.Client): Promise<Books> {
  const { rows: found } = await client.query(
    "select to_regclass('execution_engine_migrations') is not null as found",
  );
  if (!found[0].found) return new Map();
  const { rows } = await client.query<{ name: string; checksum: string }>(
    'select name, checksum from execution_engine_migrations order by name',
  );
  return new Map(rows.map((row) => [row.name, row.checksum]));
}

function pendingOf(migrations: readonly Migration[], books: Books): Migration[] {
  for (const { name, checksum } of migrations) {
    const applied = books.get(name);
    if (applied !== undefined && applied !== checksum && SAME_STATEMENTS[applied] !== checksum) {
      throw new MigrationError(
        `The migration ${name} was changed after it was applied to this database: restore the file and put the ` +
          'change into a new migration',
      );
    }
  }
  const pending = migrations.filter(({ name }) => !books.has(name));
  const [newer] = newerOf(migrations, books);
  if (newer !== undefined && pending.length > 0) {
    throw new MigrationError(
      `The database has the migration ${newer}, which this version does not know, and lacks ${pending[0]!.name}, ` +
        'which it has: they are of different lines; start the version that migrated the database',
    );
  }
  return pending;
}

function newerOf(migrations: readonly Migration[], books: Books): string[] {
  const known = new Set(migrations.map(({ name }) => name));
  return [...books.keys()].filter((name) => !known.has(name));
}

/** Returns PostgreSQL's message, with the line of the file it refers to. */
function describe(error: unknown, sql: string): string {
  const { message, position } = error as { message: string; position?: string };
  if (position === undefined) return message;
  const line = sql.slice(0, Number(position)).split('\n').length;
  return `${message} (line ${line})`;
}
