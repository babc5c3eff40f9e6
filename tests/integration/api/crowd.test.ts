/**
 * Thousands of clients that wait hold no connection to the database, and keep nobody from it.
 */
import { expect, setDefaultTimeout, test } from 'bun:test';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { until } from '../../support/until.ts';

setDefaultTimeout(240_000);

const WAITERS = 2_000;
const LONG_WAIT = { includeOutputs: false, waitMs: 200_000 };

let database: EngineDatabase;
let engine: TestEngine;

fixtureForAll(async (fixture) => {
  database = await fixture.database();
  engine = await fixture.engine();
});

/** Sessions of the engine, by what they do. */
async function sessions(): Promise<{ all: number; inTransaction: number }> {
  const { rows } = await database.pool.query(
    `select count(*)::integer as all, count(*) filter (where state like 'idle in transaction%')::integer as "inTransaction"
       from pg_stat_activity where datname = current_database() and application_name like 'engine/%'`,
  );
  return rows[0];
}

/** Asks as a client does that is told, on a busy machine, that no connection was free in time: again. */
async function waited(id: string): Promise<string> {
  const owner = { workspaceId: null, admin: false };
  for (;;) {
    try {
      return (await engine.engine.executions.status(owner, id, LONG_WAIT)).status;
    } catch (error) {
      if (!String(error).includes('timeout exceeded when trying to connect')) throw error;
    }
  }
}

test('2,000 clients that wait take no more connections than there are in the pools, and 200 calls are answered meanwhile', async () => {
  const gated = await engine.publish({ steps: { g: { type: 'gate', with: { name: 'crowd' } } } });
  const id = await engine.start(gated);
  const quick = await engine.publish({ steps: { a: { type: 'record' } } });
  const { pool } = engine.engine;
  const before = (await sessions()).all;
  let over = 0;
  const waits = Array.from({ length: WAITERS }, async () => {
    const status = await waited(id);
    over += 1;
    return status;
  });
  const others = await Promise.all(
    Array.from({ length: 20 }, (_, at) => engine.startAtLast({ template: quick, idempotency_key: `${at}` })),
  );
  const ends = await Promise.all(others.map((other) => waited(other)));
  expect(new Set(ends)).toEqual(new Set(['completed']));
  const lists = await Promise.all(
    Array.from({ length: 200 }, () => engine.requestAtLast('GET', '/admin/executions')),
  );
  expect(new Set(lists.map(({ status }) => status))).toEqual(new Set([200]));
  // When all of them have looked and none is served any more they wait.
  await until(() => pool.waitingCount === 0 && pool.idleCount === pool.totalCount);
  expect(over).toBe(0);
  // One that waits in a transaction would wait in it for good.
  await until(async () => (await sessions()).inTransaction === 0);
  const { all } = await sessions();
  expect(pool.totalCount).toBeLessThanOrEqual(10);
  // Both pools, whatever they had grown to before.
  expect(all).toBeLessThanOrEqual(before + 20);
  await database.openGate('crowd');
  expect(new Set(await Promise.all(waits))).toEqual(new Set(['completed']));
});
