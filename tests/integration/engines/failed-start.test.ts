/**
 * A start that fails leaves nothing: no session of the database, no listening address, no process, no folder, and
 * nothing that keeps its own process alive.
 */
import { expect, test } from 'bun:test';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import pg from 'pg';
import { type TestDatabase, testDatabase } from '../../support/database/database.ts';
import { fixtureForAll } from '../../support/fixture.ts';

const ENTRY = join(import.meta.dir, '..', '..', '..', 'execution-engine.ts');
const ALONE = join(import.meta.dir, '..', '..', 'support', 'start-alone.ts');

let folder: string;
let database: TestDatabase;
let takenPort: number;
let client: pg.Client;

fixtureForAll(async (fixture) => {
  folder = await fixture.folder();
  // As root the server runs as another user, who must get into it.
  chmodSync(folder, 0o755);
  const taken = await fixture.use(createServer().listen(0, '127.0.0.1'), (server) => server.close());
  await new Promise((resolve) => taken.once('listening', resolve));
  takenPort = (taken.address() as { port: number }).port;
});

const BROKEN = `export default [{ type: 'x', summary: 'x', schema: { type: 'nonsense' }, run: async () => 1 }];`;

function brokenSteps(): string {
  const path = join(folder, 'broken.mjs');
  writeFileSync(path, BROKEN);
  return path;
}

interface Failure {
  /** Makes the start fail; returns variables of the environment. */
  readonly prepare: () => Promise<Record<string, string>>;
  readonly says: string;
}

const query = (text: string) => async () => {
  await client.query(text);
  return {};
};
/** The table is there and cannot be used: the engine's last statement before it serves fails. */
const REFUSE_ENGINES = `
  create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no engines here'; end $$;
  create trigger refuse before insert on execution_engines for each row execute function refuse()`;

/** A failure of each part, in the order in which a start makes them. */
const FAILURES: Readonly<Record<string, Failure>> = {
  'the address is in use': {
    prepare: async () => ({ EXECUTION_ENGINE_PORT: String(takenPort) }),
    says: 'another process uses it',
  },
  'a step type is wrong': {
    prepare: async () => ({ EXECUTION_ENGINE_STEPS: brokenSteps() }),
    says: 'step type "x"',
  },
  'the database is read only': {
    prepare: query(
      `do $$ begin execute format('alter database %I set default_transaction_read_only = on', current_database()); end $$`,
    ),
    says: 'read-only',
  },
  'a table is somebody else’s': {
    prepare: query('create table workflow_templates (id integer primary key)'),
    says: 'uuid',
  },
  'pg-boss is somebody else’s': {
    prepare: query(
      'create schema pgboss; create table pgboss.version (version integer); insert into pgboss.version values (20)',
    ),
    says: 'EXECUTION_ENGINE_PGBOSS_SCHEMA',
  },
  'the engine cannot make itself known': {
    prepare: async () => {
      expect(await alone({})).toBe('started\n');
      return query(REFUSE_ENGINES)();
    },
    says: 'no engines here',
  },
};

/** Starts an engine in a process that ends only when nothing is left running in it; returns what it says. */
async function alone(env: Record<string, string>): Promise<string> {
  const child = Bun.spawn([process.execPath, ALONE], {
    env: {
      PATH: process.env.PATH ?? '',
      TMPDIR: join(folder, 'tmp'),
      DATABASE_URL: database.url,
      EXECUTION_ENGINE_PORT: '0',
      EXECUTION_ENGINE_HOST: '127.0.0.1',
      ...env,
    },
    stdout: 'pipe',
    stderr: 'pipe',
  });
  await child.exited;
  return (await new Response(child.stdout).text()) + (await new Response(child.stderr).text());
}

test.each(Object.entries(FAILURES))('when %s nothing is left', async (_, { prepare, says }) => {
  database = await testDatabase();
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
  mkdirSync(join(folder, 'tmp'), { recursive: true });
  try {
    const env = await prepare();
    expect(await alone(env)).toContain(says);
    const { rows } = await client.query(
      `select application_name from pg_stat_activity where datname = current_database() and application_name like 'engine/%'`,
    );
    expect(rows).toEqual([]);
    expect(readdirSync(join(folder, 'tmp'))).toEqual([]);
  } finally {
    await client.end();
    await database.drop();
  }
});

/** What ends a start when the database is the engine's own. */
const OWN: Readonly<Record<string, () => Record<string, string>>> = {
  'the address is in use': () => ({ EXECUTION_ENGINE_PORT: String(takenPort) }),
  'a step type is wrong': () => ({ EXECUTION_ENGINE_STEPS: brokenSteps() }),
  // pg-boss takes no such name: everything before it has been made.
  'pg-boss cannot start': () => ({ EXECUTION_ENGINE_PGBOSS_SCHEMA: 'pg_catalog' }),
};

for (const [what, env] of Object.entries(OWN))
  test(`when ${what} the embedded database is not left running`, async () => {
    const dataDir = join(folder, `data-${Object.keys(OWN).indexOf(what)}`);
    const child = Bun.spawn([process.execPath, ENTRY], {
      env: {
        PATH: process.env.PATH ?? '',
        EXECUTION_ENGINE_PORT: '0',
        EXECUTION_ENGINE_DATA_DIR: dataDir,
        ...env(),
      },
      stdout: 'pipe',
      stderr: 'pipe',
    });
    expect(await child.exited).toBe(1);
    const pidFile = join(dataDir, 'pg18', 'postmaster.pid');
    const isMade = existsSync(join(dataDir, 'pg18', 'PG_VERSION'));
    // The address is tried before a database is made.
    expect(isMade).toBe(what !== 'the address is in use');
    expect(existsSync(pidFile) ? readFileSync(pidFile, 'utf8') : 'gone').toBe('gone');
  });
