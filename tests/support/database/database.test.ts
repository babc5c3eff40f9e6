import { expect, test } from 'bun:test';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { testDatabase } from './database.ts';

const MODULE = fileURLToPath(new URL('./database.ts', import.meta.url));

async function ask(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query({ text: sql, rowMode: 'array' })).rows.flat();
  } finally {
    await client.end();
  }
}

/** Makes a test database in a process of its own and kills that process. */
async function abandoned(): Promise<string> {
  const script = `const { testDatabase } = await import(${JSON.stringify(MODULE)});
    console.log((await testDatabase({ migrated: true })).url); await new Promise(() => setInterval(() => {}, 1000));`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const url = await new Promise<string>((resolve) =>
    child.stdout.once('data', (chunk) => resolve(String(chunk).trim())),
  );
  child.kill('SIGKILL');
  await ended;
  return url;
}

test('every test database is new, and a migrated one has the tables', async () => {
  const made = await Promise.all([
    testDatabase(),
    testDatabase(),
    testDatabase({ migrated: true }),
    testDatabase({ migrated: true }),
  ]);
  expect(new Set(made.map(({ url }) => url)).size).toBe(4);
  const tables = "select count(*)::int from pg_tables where schemaname = 'public'";
  const [first, second, third, fourth] = made;
  expect(await ask(first!.url, tables)).toEqual([0]);
  await ask(third!.url, 'create table mine ()');
  expect(
    await ask(fourth!.url, "select to_regclass('mine'), to_regclass('workflow_executions') is not null"),
  ).toEqual([null, true]);
  await ask(first!.url, 'create table mine ()');
  expect(await ask(second!.url, tables)).toEqual([0]);
  await Promise.all(made.map((one) => one.drop()));
});

test('a test database is dropped although somebody is connected to it', async () => {
  const database = await testDatabase();
  const client = new pg.Client({ connectionString: database.url });
  client.on('error', () => {});
  await client.connect();
  await database.drop();
  await expect(ask(database.url, 'select 1')).rejects.toThrow('does not exist');
});

test('the database of a run that was killed is gone after the next run has started', async () => {
  const url = await abandoned();
  const name = new URL(url).pathname.slice(1);
  await abandoned();
  const own = await testDatabase();
  expect(await ask(own.url, `select count(*)::int from pg_database where datname = '${name}'`)).toEqual([0]);
  await own.drop();
});
