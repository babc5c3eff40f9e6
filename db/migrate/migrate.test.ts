import { afterAll, afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { type TestDatabase, testDatabase } from '../../tests/support/database/database.ts';
import { MigrationError, migrate } from './migrate.ts';

const folders: string[] = [];
let database: TestDatabase;
let client: pg.Client;

beforeEach(async () => {
  database = await testDatabase();
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
});

afterEach(async () => {
  await client.end();
  await database.drop();
});

afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

const FIRST = 'create table one (id int primary key);\ninsert into one values (1);';
const SECOND = 'create table two (id int primary key references one);';

function folderOf(files: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), 'migrations-'));
  folders.push(folder);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

const run = (dir: string, dryRun = false) => migrate(database.url, { dir, pgbossSchema: 'pgboss', dryRun });

async function refusal(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(MigrationError);
  return (error as MigrationError).message;
}

async function tables(): Promise<string[]> {
  const { rows } = await client.query(
    "select table_name from information_schema.tables where table_schema = 'public' order by 1",
  );
  return rows.map(({ table_name }) => table_name);
}

describe('migrating', () => {
  test('applies what is missing, in order, once', async () => {
    const dir = folderOf({ '0002_add_two.sql': SECOND, '0001_add_one.sql': FIRST, 'README.md': 'not SQL' });
    expect((await run(dir)).applied).toEqual(['0001_add_one.sql', '0002_add_two.sql']);
    expect((await run(dir)).applied).toEqual([]);
    writeFileSync(join(dir, '0003_fill_two.sql'), 'insert into two values (1)');
    expect((await run(dir)).applied).toEqual(['0003_fill_two.sql']);
    expect(await tables()).toEqual(['execution_engine_migrations', 'one', 'two']);
  });

  test('from many engines at once applies each once and all of them succeed', async () => {
    const dir = folderOf({ '0001_add_one.sql': FIRST, '0002_add_two.sql': SECOND });
    const results = await Promise.all(Array.from({ length: 8 }, () => run(dir)));
    const applied = results.flatMap((result) => result.applied).sort();
    expect(applied).toEqual(['0001_add_one.sql', '0002_add_two.sql']);
  });

  test('that fails in the middle keeps what was whole and nothing else, and goes on when mended', async () => {
    const dir = folderOf({
      '0001_add_one.sql': FIRST,
      '0002_add_two.sql': `${SECOND}\nselect nonsense;`,
      '0003_add_three.sql': 'create table three ()',
    });
    const message = await refusal(run(dir));
    expect(message).toContain('0002_add_two.sql');
    expect(message).toContain('"nonsense"');
    expect(message).toContain('line 2');
    expect(await tables()).toEqual(['execution_engine_migrations', 'one']);
    writeFileSync(join(dir, '0002_add_two.sql'), SECOND);
    expect((await run(dir)).applied).toEqual(['0002_add_two.sql', '0003_add_three.sql']);
  });

  test('of a connection that is ended in the middle can be run again', async () => {
    const dir = folderOf({
      '0001_add_one.sql': `${FIRST} select pg_terminate_backend(pg_backend_pid()) where not exists (select from pg_roles where rolname = 'mended_${process.pid}');`,
    });
    await refusal(run(dir));
    expect(await tables()).toEqual(['execution_engine_migrations']);
    await client.query(`create role mended_${process.pid}`);
    try {
      expect((await run(dir)).applied).toEqual(['0001_add_one.sql']);
    } finally {
      await client.query(`drop role mended_${process.pid}`);
    }
  });

  test('waits for a table that is busy', async () => {
    const dir = folderOf({ '0001_add_one.sql': FIRST });
    await run(dir);
    writeFileSync(join(dir, '0002_widen_one.sql'), 'alter table one add column text text');
    await client.query('begin');
    await client.query('select * from one');
    const migrating = run(dir);
    const other = new pg.Client({ connectionString: database.url });
    await other.connect();
    const waiting =
      "select 1 from pg_stat_activity where application_name = 'engine/migrate' and wait_event = 'relation' and datname = current_database()";
    while ((await other.query(waiting)).rowCount === 0);
    await client.query('commit');
    await other.end();
    expect((await migrating).applied).toEqual(['0002_widen_one.sql']);
  });

  test('goes to the schema that the connection searches first', async () => {
    await client.query('create schema engine');
    const url = `${database.url}?options=-c%20search_path%3Dengine`;
    await migrate(url, { dir: folderOf({ '0001_add_one.sql': FIRST }), pgbossSchema: 'pgboss' });
    expect(await tables()).toEqual([]);
    expect((await client.query('select * from engine.one')).rows).toEqual([{ id: 1 }]);
  });

  test("fills in the name of pg-boss's schema, quoted", async () => {
    const dir = folderOf({ '0001_make_schema.sql': 'create schema {{pgboss}}' });
    await migrate(database.url, { dir, pgbossSchema: 'Odd"name' });
    expect((await client.query(`select 1 from pg_namespace where nspname = 'Odd"name'`)).rowCount).toBe(1);
  });
});

describe('a dry run', () => {
  test('shows what would be run and changes nothing, on an empty database and on a migrated one', async () => {
    const dir = folderOf({ '0001_add_one.sql': FIRST });
    expect((await run(dir, true)).pending.map(({ name, sql }) => [name, sql])).toEqual([
      ['0001_add_one.sql', FIRST],
    ]);
    expect(await tables()).toEqual([]);
    await run(dir);
    writeFileSync(join(dir, '0002_add_two.sql'), SECOND);
    expect((await run(dir, true)).pending.map(({ name }) => name)).toEqual(['0002_add_two.sql']);
    expect(await tables()).toEqual(['execution_engine_migrations', 'one']);
  });
});

test('a file whose comment was changed is the same migration', async () => {
  const dir = join(import.meta.dir, '..', 'migrations');
  await run(dir);
  const { rowCount } = await client.query(
    "update execution_engine_migrations set checksum = $1 where name = '0001_create_workflow_tables.sql'",
    ['f2738c851ae647ad49239824cfd4ab48279459215bd14e428539076a20505241'],
  );
  expect(rowCount).toBe(1);
  expect(await run(dir)).toMatchObject({ applied: [], pending: [] });
});

describe('refused is', () => {
  test('a file that was changed after it was applied', async () => {
    const dir = folderOf({ '0001_add_one.sql': FIRST });
    await run(dir);
    writeFileSync(join(dir, '0001_add_one.sql'), `${FIRST}\n`);
    expect(await refusal(run(dir))).toContain('0001_add_one.sql was changed');
    expect(await refusal(run(dir, true))).toContain('0001_add_one.sql was changed');
  });

  test('a database of another line of versions, before anything is applied', async () => {
    await run(folderOf({ '0001_add_one.sql': FIRST, '0009_add_nine.sql': 'create table nine ()' }));
    const old = folderOf({ '0001_add_one.sql': FIRST, '0002_add_two.sql': SECOND });
    expect(await refusal(run(old))).toContain('0009_add_nine.sql');
    expect(await tables()).not.toContain('two');
  });

  test('a file name that is out of line, and a number that is taken twice', async () => {
    expect(await refusal(run(folderOf({ 'add_one.sql': FIRST })))).toContain('add_one.sql');
    const twice = folderOf({ '0001_add_one.sql': FIRST, '0001_add_two.sql': SECOND });
    expect(await refusal(run(twice))).toContain('0001_add_two.sql');
    expect(await tables()).toEqual([]);
  });
});
