import { describe, expect, test } from 'bun:test';
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { type TestDatabase, testDatabase } from '../../support/database/database.ts';
import { fixtureForAll } from '../../support/fixture.ts';

const COMMAND = fileURLToPath(new URL('../../../scripts/migrate.ts', import.meta.url));

let database: TestDatabase;
fixtureForAll(async (fixture) => {
  database = await fixture.use(testDatabase(), ({ drop }) => drop());
});

async function run(env: Record<string, string>, ...args: string[]) {
  const child = spawn(process.execPath, [COMMAND, ...args], {
    env: { PATH: '/usr/bin:/bin', HOME: tmpdir(), ...env },
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => {
    output.stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    output.stderr += chunk;
  });
  const code = await new Promise((resolve) => child.once('close', resolve));
  return { code, ...output };
}

async function count(): Promise<number> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  const { rows } = await client.query("select count(*)::int as n from pg_tables where schemaname = 'public'");
  await client.end();
  return rows[0].n;
}

describe('the migrate command', () => {
  test('prints what it would run, runs it, and then has nothing to do', async () => {
    const env = { DATABASE_URL: database.url };
    const dry = await run(env, '--dry-run');
    expect(dry.code).toBe(0);
    expect(dry.stdout).toContain('-- 0001_');
    expect(dry.stdout.toLowerCase()).toContain('create table');
    expect(await count()).toBe(0);
    const real = await run(env);
    expect(real.code).toBe(0);
    expect(real.stdout).toContain('applied 0001_');
    expect(await count()).toBeGreaterThan(3);
    expect(await run(env)).toMatchObject({ code: 0, stdout: 'nothing to do\n' });
    expect(await run(env, '--dry-run')).toMatchObject({ code: 0, stdout: '-- nothing to do\n' });
  });

  test('starts the embedded PostgreSQL when there is no other, and stops it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'migrate-'));
    chmodSync(folder, 0o755);
    try {
      const ran = await run({ EXECUTION_ENGINE_DATA_DIR: folder });
      expect(ran).toMatchObject({ code: 0 });
      expect(ran.stdout).toContain('applied 0001_');
      expect(existsSync(join(folder, 'pg18', 'PG_VERSION'))).toBe(true);
      expect(existsSync(join(folder, 'pg18', 'postmaster.pid'))).toBe(false);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('refuses an option it does not know and a wrong configuration with 2, a database that is not there with 1', async () => {
    const unknown = await run({ DATABASE_URL: database.url }, '--dry');
    expect(unknown.code).toBe(2);
    expect(unknown.stderr).toContain('--dry-run');
    const wrong = await run({ DATABASE_URL: 'mysql://me:hush-hush@host/x' });
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain('- DATABASE_URL is not a PostgreSQL URL');
    expect(wrong.stderr).not.toContain('hush-hush');
    const absent = await run({ DATABASE_URL: 'postgres://me:hush-hush@127.0.0.1:1/x' });
    expect(absent.code).toBe(1);
    expect(absent.stderr).not.toContain('hush-hush');
  });
});
