/**
 * Thousands of clients that wait hold no connection to the database, and keep nobody from it.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test';
import { type EngineDatabase, engineDatabase, startTestEngine, type TestEngine } from '../support/engine.ts';
import { assertInvariants } from '../support/invariants.ts';

setDefaultTimeout(240_000);

const WAITERS = 2_000;

let database: EngineDatabase;
let engine: TestEngine;

beforeAll(async () => {
  database = await engineDatabase();
  engine = await startTestEngine({ url: database.url });
});

afterAll(async () => {
  await engine.stop();
  await database.drop();
});

/** Sessions of the engine, by what they do. */
async function sessions(): Promise<{ all: number; inTransaction: number }> {
  const { rows } = await database.pool.query(
    `select count(*)::integer as all, count(*) filter (where state like 'idle in transaction%')::integer as "inTransaction"
       from pg_stat_activity where datname = current_database() and application_name like 'engine/%'`,
  );
  return rows[0];
}

test('2,000 clients that wait take no more connections than there are in the pools, and 200 calls are answered meanwhile', async () => {
  const gated = await engine.publish({ steps: { g: { type: 'gate', with: { name: 'crowd' } } } });
  const id = await engine.start(gated);
  const { pool } = engine.engine;
  const before = (await sessions()).all;
  let over = 0;
  const owner = { workspaceId: null, admin: false };
  const waits = Array.from({ length: WAITERS }, async () => {
    const { status } = await engine.engine.executions.status(owner, id, {
      includeOutputs: false,
      waitMs: 200_000,
    });
    over += 1;
    return status;
  });
  const ends = await Promise.all(
    Array.from({ length: 20 }, () => engine.run({ steps: { a: { type: 'record' } } })),
  );
  expect(new Set(ends.map(({ status }) => status))).toEqual(new Set(['completed']));
  const lists = await Promise.all(
    Array.from({ length: 200 }, () => engine.request('GET', '/admin/executions')),
  );
  expect(new Set(lists.map(({ status }) => status))).toEqual(new Set([200]));
  // When all of them have looked and none is served any more they wait.
  while (pool.waitingCount > 0 || pool.idleCount < pool.totalCount) await Bun.sleep(1);
  expect(over).toBe(0);
  // One that waits in a transaction would wait in it for good.
  while ((await sessions()).inTransaction > 0) await Bun.sleep(10);
  const { all } = await sessions();
  expect(pool.totalCount).toBeLessThanOrEqual(10);
  // Both pools, whatever they had grown to before.
  expect(all).toBeLessThanOrEqual(before + 20);
  await database.openGate('crowd');
  expect(new Set(await Promise.all(waits))).toEqual(new Set(['completed']));
  await assertInvariants(database.url);
});
