/**
 * The database has no connection left for the engine (SQLSTATE 53300), or only some of those it wants.
 */

import { afterEach, beforeEach, expect, setDefaultTimeout, test } from 'bun:test';
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { loadConfig } from '../../config/config.ts';
import { type Engine, startEngine } from '../../engine/engine.ts';
import { createLog } from '../../telemetry/log.ts';
import { type TestDatabase, testDatabase } from '../support/database/database.ts';
import { type EngineCalls, engineCalls } from '../support/engine.ts';
import { assertInvariants } from '../support/invariants.ts';

setDefaultTimeout(120_000);

const CHAIN = {
  steps: {
    a: { type: 'delay', with: { for: '1ms' } },
    b: { type: 'noop', needs: ['a'] },
    c: { type: 'delay', with: { for: '1ms' }, needs: ['b'] },
  },
};

let database: TestDatabase;
let admin: pg.Client;
let role: string;
let engine: Engine;
let calls: EngineCalls;

beforeEach(async () => {
  database = await testDatabase();
  admin = new pg.Client({ connectionString: database.url });
  await admin.connect();
  role = `limited_${randomBytes(6).toString('hex')}`;
  await admin.query(`create role ${role} login password 'secret'`);
  const url = new URL(database.url);
  await admin.query(`alter database ${url.pathname.slice(1)} owner to ${role}`);
  url.username = role;
  url.password = 'secret';
  const log = createLog({ level: 'silent', pretty: false, secrets: [], destination: { write: () => {} } });
  engine = await startEngine(
    loadConfig({ EXECUTION_ENGINE_PORT: '0', EXECUTION_ENGINE_HOST: '127.0.0.1' }),
    url.href,
    log,
  );
  calls = engineCalls(engine.url);
});

afterEach(async () => {
  await mayHave(-1);
  // A job that was being fetched when its step ended is dropped by the next look.
  await noJobIsLeft();
  await engine.stop();
  await assertInvariants(database.url);
  await admin.end();
  await database.drop();
  const cleaner = await testDatabase();
  const client = new pg.Client({ connectionString: cleaner.url });
  await client.connect();
  await client.query(`drop role ${role}`);
  await client.end();
  await cleaner.drop();
});

/** From now on the engine gets so many; -1: as many as it likes. Those it has are ended. */
async function mayHave(connections: number): Promise<void> {
  await admin.query(`alter role ${role} connection limit ${connections}`);
  if (connections >= 0)
    await admin.query('select pg_terminate_backend(pid) from pg_stat_activity where usename = $1', [role]);
}

async function noJobIsLeft(): Promise<void> {
  for (;;) {
    const { rows } = await admin.query('select count(*)::integer as count from pgboss.job');
    if (rows[0].count === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function readiness() {
  const { status, body } = await calls.request('GET', '/health/ready');
  const checks = (body.checks ?? {}) as Record<string, { status: string; message?: string }>;
  return { status, message: checks.database?.message ?? '' };
}

test('an engine that gets none says so, stays up, and goes on by itself when there are some', async () => {
  const template = await calls.publish(CHAIN);
  const ids: string[] = [];
  for (let n = 0; n < 20; n += 1) ids.push(await calls.start(template));
  await mayHave(0);
  for (;;) {
    const { status, message } = await readiness();
    if (status === 503 && message.includes('too many connections')) break;
  }
  expect((await calls.request('GET', '/health/live')).status).toBe(200);
  const { status, body } = await calls.request('POST', '/api/v1/execution/start', { template });
  expect([status, body.code]).toEqual([503, 'unavailable']);

  await mayHave(-1);
  while ((await readiness()).status !== 200);
  for (const id of ids) expect((await calls.end(id)).status).toBe('completed');
  expect((await calls.end(await calls.start(template))).status).toBe('completed');
});

test('an engine that gets fewer than it wants works with those', async () => {
  const template = await calls.publish(CHAIN);
  await mayHave(8);
  while ((await readiness()).status !== 200);
  const started = await Promise.all(Array.from({ length: 100 }, () => startedAtLast(template)));
  for (const id of started) expect((await calls.end(id)).status).toBe('completed');
});

/** Whoever is answered 503 comes back, as clients do. */
async function startedAtLast(template: string): Promise<string> {
  for (;;) {
    const { status, body } = await calls.request('POST', '/api/v1/execution/start', { template });
    if (status !== 503) return String(body.execution_id);
  }
}
