/**
 * Databases for tests: real ones, one per call, on one embedded server that all test processes share.
 *
 * The server is adopted when it runs and started when it does not; it is left running, so the next test run
 * starts at once. It forgets how to be durable (fsync off): nothing here may say anything about durability.
 * Databases carry the process id of the test run that made them, and those of runs that are gone are dropped.
 */
import { createHash, randomBytes } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { loadConfig } from '../../../config/config.ts';
import { type Backend, routeTo } from '../../../db/connection/features.ts';
import { readMigrations } from '../../../db/migrate/migrate.ts';
import { migrateEngine } from '../../../db/migrate/migrate-engine.ts';
import { inspect, isAlive } from '../../../embedded/cluster.ts';
import { choosePlace } from '../../../embedded/place.ts';
import { joinServer } from '../../../embedded/server.ts';
import { embeddedSettings } from '../../../embedded/settings.ts';
import packageJson from '../../../package.json' with { type: 'json' };
import { installBoss } from '../../../queue/boss.ts';
import { RECORDS } from '../steps/recorder.ts';

export interface TestDatabase {
  url: string;
  /** Drops the database, connections and all. */
  drop(): Promise<void>;
}

/** The backend that engines are told, whatever the test: `EXECUTION_ENGINE_TEST_BACKEND=cockroachdb npm test`. */
export const TEST_BACKEND = (process.env.EXECUTION_ENGINE_TEST_BACKEND ?? 'postgres') as Backend;

const PGBOSS_SCHEMA = 'pgboss';
const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
const MIGRATIONS = join(ROOT, 'db', 'migrations');
const FUNCTIONS = join(ROOT, 'db', 'functions');
const TEST_SETTINGS = {
  fsync: 'off',
  full_page_writes: 'off',
  synchronous_commit: 'off',
  max_connections: '500',
  shared_buffers: '128MB',
};
const SUPERUSER = 'postgres';
/** Arbitrary: one process at a time makes the template database. */
const TEMPLATE_LOCK = 7_205_319;

const KEPT_TEMPLATES = 4;

let server: Promise<string> | undefined;
let template: Promise<string> | undefined;
let adminPool: pg.Pool | undefined;

export interface TestDatabaseOptions {
  /** Whether it has this version's schema, queues and the tables of the recording step types (cloned from a template). */
  readonly migrated?: boolean;
  /** The URL of another test database that it is a copy of. Nothing may be connected to that one. */
  readonly copyOf?: string;
}

/** A new database, empty unless the options say otherwise. */
export async function testDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const admin = await sharedServer();
  const name = `test_${process.pid}_${randomBytes(6).toString('hex')}`;
  const from = await sourceOf(admin, options);
  // A copy of the files takes a third less processor time than one through the log.
  await keptAdmin(admin).query(`create database ${name} template ${from} strategy file_copy`);
  return {
    url: withDatabase(admin, name),
    drop: async () => {
      await keptAdmin(admin).query(`drop database if exists ${name} with (force)`);
    },
  };
}

async function sourceOf(admin: string, { migrated, copyOf }: TestDatabaseOptions): Promise<string> {
  if (copyOf !== undefined) return new URL(copyOf).pathname.slice(1);
  return migrated ? migratedTemplate(admin) : 'template0';
}

function sharedServer(): Promise<string> {
  server ??= startServer();
  return server;
}

function migratedTemplate(admin: string): Promise<string> {
  template ??= makeTemplate(admin);
  return template;
}

/** The URL of the shared server's maintenance database. */
async function startServer(): Promise<string> {
  const dataDir = await sharedFolder();
  const place = await choosePlace(dataDir, () => {});
  // The lower layer on purpose: no supervision, and no presence that would be given up with this process.
  const options = { port: 0, settings: embeddedSettings(TEST_SETTINGS), log: () => {} };
  const joined = await joinServer(place, options).catch(async (error: unknown) => {
    // Without fsync a power cut may leave data on which no server starts.
    if ((await inspect(place)).is !== 'stopped') throw error;
    await rm(place.cluster, { recursive: true, force: true });
    return joinServer(place, options);
  });
  const admin = new pg.Client({ connectionString: joined.url });
  await admin.connect();
  try {
    await dropLeftovers(admin);
    await makeLogInCheap(admin, joined.url);
  } finally {
    await admin.end();
    await joined.presence.leave();
  }
  return joined.url;
}

/** One folder per user, which nobody else may have put there. */
async function sharedFolder(): Promise<string> {
  const uid = process.getuid?.() ?? 0;
  const folder = join(tmpdir(), `execution-engine-tests-${uid}`);
  await mkdir(folder, { recursive: true });
  if (process.platform === 'win32') return folder;
  if ((await stat(folder)).uid !== uid)
    throw new Error(`${folder} belongs to somebody else: remove it or set TMPDIR`);
  await chmod(folder, 0o755);
  return folder;
}

/**
 * Sets the superuser's password anew, with one iteration of its hash instead of 4,096. Engines log in some twenty times
 * each, and computing the hash takes a test as long as everything else that it does for a new connection.
 */
async function makeLogInCheap(admin: pg.Client, url: string): Promise<void> {
  await admin.query('begin');
  await admin.query('select pg_advisory_xact_lock($1)', [TEMPLATE_LOCK]);
  const { rows } = await admin.query(
    "select from pg_authid where rolname = $1 and rolpassword like 'SCRAM-SHA-256$1:%'",
    [SUPERUSER],
  );
  if (rows.length === 0) {
    await admin.query('set local scram_iterations = 1');
    const { password } = new URL(url);
    await admin.query(
      `alter role ${SUPERUSER} password ${admin.escapeLiteral(decodeURIComponent(password))}`,
    );
  }
  await admin.query('commit');
}

/** Databases whose test run is gone. */
async function dropLeftovers(admin: pg.Client): Promise<void> {
  const { rows } = await admin.query<{ datname: string }>(
    "select datname from pg_database where datname like 'test\\_%'",
  );
  for (const { datname } of rows) {
    const pid = Number(datname.split('_')[1]);
    if (!isAlive(pid)) await admin.query(`drop database if exists ${datname} with (force)`).catch(() => {});
  }
}

/** A database with all migrations applied, with pg-boss and the tables of the recording step types: made once for what those are. */
async function makeTemplate(admin: string): Promise<string> {
  const migrations = await readMigrations(MIGRATIONS, PGBOSS_SCHEMA);
  const made = [
    ...migrations.map(({ name, checksum }) => `${name}:${checksum}`),
    packageJson.dependencies['pg-boss'],
  ];
  const functions = (await readdir(FUNCTIONS)).filter((file) => file.endsWith('.sql')).sort();
  const files = [
    ...functions.map((file) => join(FUNCTIONS, file)),
    join(ROOT, 'queue', 'boss.ts'),
    join(ROOT, 'db', 'migrate', 'migrate-engine.ts'),
  ];
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8')));
  const content = [...made, ...texts, RECORDS, TEST_BACKEND].join('\n');
  const name = `migrated_${createHash('sha256').update(content).digest('hex').slice(0, 16)}`;
  await withClient(admin, async (client) => {
    await client.query('select pg_advisory_lock($1)', [TEMPLATE_LOCK]);
    const { rows } = await client.query('select 1 from pg_database where datname = $1 and datistemplate', [
      name,
    ]);
    if (rows.length > 0) return;
    // Not marked as a template: whoever was making it was killed.
    await client.query(`drop database if exists ${name} with (force)`);
    await client.query(`create database ${name} template template0`);
    const url = withDatabase(admin, name);
    // As an engine with no settings of its own migrates: it finds nothing left to do.
    const { maxBodyBytes: maxInputBytes, maxOutputBytes, maxJsonDepth } = loadConfig({}).limits;
    const bounds = { maxInputBytes, maxOutputBytes, maxJsonDepth };
    await migrateEngine(routeTo(url, { backend: TEST_BACKEND }), { pgbossSchema: PGBOSS_SCHEMA, ...bounds });
    await withClient(url, (made) => made.query(RECORDS));
    await installBoss({ url, schema: PGBOSS_SCHEMA, backend: TEST_BACKEND, onError: () => {} });
    await client.query(`alter database ${name} with is_template true allow_connections false`);
    await dropOldTemplates(client);
  });
  return name;
}

/** Every change of the migrations makes a template; other checkouts may still use the youngest ones. */
async function dropOldTemplates(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ datname: string }>(
    `select datname from pg_database where datname like 'migrated\\_%' order by oid desc offset ${KEPT_TEMPLATES}`,
  );
  for (const { datname } of rows) {
    await client.query(`alter database ${datname} with is_template false`);
    await client.query(`drop database ${datname}`).catch(() => {});
  }
}

/** Connections that are kept for a moment: tests make and drop one database after the other. */
function keptAdmin(url: string): pg.Pool {
  if (adminPool === undefined) {
    adminPool = new pg.Pool({ connectionString: url, idleTimeoutMillis: 2_000, allowExitOnIdle: true });
    adminPool.on('error', () => {});
  }
  return adminPool;
}

/** Runs `work` on a connection of its own: session locks end with it. */
async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

function withDatabase(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
}
