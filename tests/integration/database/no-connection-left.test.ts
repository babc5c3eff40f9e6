/**
 * The database has no connection left for the engine (SQLSTATE 53300), or only some of those it wants.
 */

import { expect, test } from 'bun:test';
import { randomBytes } from 'node:crypto';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { fixtureForEach } from '../../support/fixture.ts';
import { until } from '../../support/until.ts';

const CHAIN = {
  steps: {
    a: { type: 'delay', with: { for: '1ms' } },
    b: { type: 'noop', needs: ['a'] },
    c: { type: 'delay', with: { for: '1ms' }, needs: ['b'] },
  },
};

let database: EngineDatabase;
let role: string;
let engine: TestEngine;

const fixture = fixtureForEach(
  async () => {
    database = await fixture.database({ migrated: false });
    role = `limited_${randomBytes(6).toString('hex')}`;
    const made = database.pool.query(`create role ${role} login password 'secret'`);
    await fixture.use(made, () =>
      database.pool.query(`reassign owned by ${role} to current_user; drop role ${role}`),
    );
    const url = new URL(database.url);
    await database.pool.query(`alter database ${url.pathname.slice(1)} owner to ${role}`);
    url.username = role;
    url.password = 'secret';
    engine = await fixture.engine({ url: url.href, recordsUrl: database.url });
  },
  { atEnd: () => mayHave(-1) },
);

/** From now on the engine gets so many; -1: as many as it likes. Those it has are ended. */
async function mayHave(connections: number): Promise<void> {
  await database.pool.query(`alter role ${role} connection limit ${connections}`);
  if (connections >= 0)
    await database.pool.query('select pg_terminate_backend(pid) from pg_stat_activity where usename = $1', [
      role,
    ]);
}

async function readiness() {
  const { status, body } = await engine.request('GET', '/health/ready');
  const checks = (body.checks ?? {}) as Record<string, { status: string; message?: string }>;
  return { status, message: checks.database?.message ?? '' };
}

test('an engine that gets none says so, stays up, and goes on by itself when there are some', async () => {
  const template = await engine.publish(CHAIN);
  const ids: string[] = [];
  for (let n = 0; n < 20; n += 1) ids.push(await engine.start(template));
  await mayHave(0);
  await until(async () => {
    const { status, message } = await readiness();
    return status === 503 && message.includes('too many connections');
  });
  expect((await engine.request('GET', '/health/live')).status).toBe(200);
  const { status, body } = await engine.request('POST', '/api/v1/execution/start', { template });
  expect([status, body.code]).toEqual([503, 'unavailable']);

  await mayHave(-1);
  await until(async () => (await readiness()).status === 200);
  for (const id of ids) expect((await engine.end(id)).status).toBe('completed');
  expect((await engine.end(await engine.start(template))).status).toBe('completed');
});

test('an engine that gets fewer than it wants works with those', async () => {
  const template = await engine.publish(CHAIN);
  await mayHave(8);
  await until(async () => (await readiness()).status === 200);
  const started = await Promise.all(Array.from({ length: 100 }, () => engine.startAtLast({ template })));
  for (const id of started) expect((await engine.end(id)).status).toBe('completed');
});
