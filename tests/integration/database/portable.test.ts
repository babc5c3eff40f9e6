/**
 * Portable mode on plain PostgreSQL: no SKIP LOCKED, no advisory locks, no LISTEN and NOTIFY, no statement of several
 * mutations. Every statement of these engines is held against that (tests/support/faults/portable-guard.ts).
 *
 * `EXECUTION_ENGINE_TEST_BACKEND=cockroachdb npm test` runs the other tests like this.
 */
import { afterEach, describe, expect, test } from 'bun:test';
import { createPool } from '../../../db/connection/client.ts';
import { routeTo } from '../../../db/connection/features.ts';
import { Retention } from '../../../maintenance/retention.ts';
import { sized } from '../../support/core/size.ts';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { assertPortable } from '../../support/faults/portable-guard.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { takeOverFromKilled } from '../../support/killed-engine.ts';
import { startSideBySide } from '../../support/volume.ts';

const PORTABLE = { DATABASE_BACKEND: 'cockroachdb' };

/** Every kind of transition: retries, parking, skips, failures that are handled, joins. */
const MIXED = {
  steps: {
    a: { type: 'record' },
    f: { type: 'flaky', needs: ['a'], with: { failures: 1 }, retry: { limit: 2, delay: '10ms' } },
    p: { type: 'parks', needs: ['a'], with: { ms: 10 } },
    s: { type: 'record', needs: ['a'], when: '${{ false }}' },
    x: { type: 'flaky', needs: ['a'], with: { failures: 9, retryable: false } },
    h: { type: 'record', needs: [{ step: 'x', on: 'failure' }] },
    limited: { type: 'record', needs: ['a'], concurrency: { key: 'one', limit: 1 } },
    join: { type: 'record', needs: ['f', 'p', 's', 'h', 'limited'] },
    any: { type: 'record', needs: ['f', 'p', 's', 'h'], join: 'any' },
  },
};

afterEach(assertPortable);

let database: EngineDatabase;
let engines: TestEngine[] = [];

const fixture = fixtureForAll(async () => {
  database = await fixture.database({ migrated: false });
  const config = { ...PORTABLE, EXECUTION_ENGINE_CONCURRENCY: '8' };
  engines = [await fixture.engine({ name: 'one', config }), await fixture.engine({ name: 'two', config })];
});

test('two engines share executions of every kind, and all of them end', async () => {
  const ids = await Promise.all(engines.map((engine) => startSideBySide(engine, MIXED, sized(20, 60))));
  for (const id of ids.flat()) expect((await engines[0]!.end(id)).status).toBe('completed');
  const { rows } = await database.pool.query(
    'select count(distinct engine)::integer as count from test_runs',
  );
  expect(rows).toEqual([{ count: 2 }]);
});

test('one name that is published on two engines at once has versions without a gap', async () => {
  const published = await Promise.all(
    Array.from({ length: 10 }, (_, n) =>
      engines[n % 2]!.client.publish(
        JSON.stringify({ name: 'raced', steps: { a: { type: 'record', with: { value: n } } } }),
        'application/json',
      ),
    ),
  );
  expect(published.map(({ version }) => version).sort((a, b) => a - b)).toEqual([
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
  ]);
});

test('what a main server starts in SQL begins without a notification', async () => {
  const template = await engines[0]!.publish({ steps: { a: { type: 'record' } } });
  const { rows } = await database.pool.query('select workflow_start($1) as id', [template]);
  expect((await engines[1]!.end(rows[0].id)).status).toBe('completed');
  const { rows: source } = await database.pool.query(
    "select prosrc like '%notify%' as notifies from pg_proc where proname = 'workflow_start'",
  );
  expect(source).toEqual([{ notifies: false }]);
});

test('executions that are old enough are removed, also by two that sweep at once', async () => {
  const [id] = await startSideBySide(engines[0]!, MIXED, 1);
  await engines[0]!.end(id!);
  const others = await database.pool.query('select count(*)::integer as count from workflow_executions');
  const session = {
    max: 1,
    applicationName: 'engine/00000000-0000-4000-8000-000000000000/sweep',
    byIndex: true,
    portable: true,
  };
  const pools = [1, 2].map(() => createPool(database.url, session));
  const sweepers = pools.map(
    (pool, at) =>
      new Retention({
        route: routeTo(database.url, { backend: 'cockroachdb' }),
        engineId: `sweeper-${at}`,
        pool,
        jobTable: 'pgboss.job',
        retentionMs: 0,
        pause: async () => {},
        onRemoved: () => {},
        onUndeletable: () => {},
        onError: (error) => {
          throw error;
        },
      }),
  );
  const removed = await Promise.all(sweepers.map((sweeper) => sweeper.sweep()));
  const rest = await sweepers[0]!.sweep();
  expect(removed.reduce((sum, count) => sum + count, rest)).toBe(others.rows[0].count);
  await Promise.all(pools.map((pool) => pool.end()));
  const { rows } = await database.pool.query(
    'select (select count(*) from workflow_executions)::integer as executions, (select count(*) from workflow_step_executions)::integer as steps',
  );
  expect(rows).toEqual([{ executions: 0, steps: 0 }]);
});

test('nobody holds a lease', async () => {
  const { rows } = await database.pool.query('select distinct has_lease from execution_engines');
  expect(rows).toEqual([{ has_lease: false }]);
});

test.each(['citus', 'yugabytedb'])(
  'an engine that is told %p runs on PostgreSQL as well',
  async (backend) => {
    const { url } = await fixture.database({ migrated: false });
    const engine = await fixture.engine({ url, config: { DATABASE_BACKEND: backend } });
    expect((await engine.run(MIXED)).status).toBe('completed');
  },
);

test('an engine beside them that is told nothing goes on with all that PostgreSQL has', async () => {
  const { url } = await fixture.database();
  const engine = await fixture.engine({ url, config: { DATABASE_BACKEND: 'postgres' } });
  expect((await engine.run(MIXED)).status).toBe('completed');
});

test('an engine that was killed is taken over by its heartbeat alone', async () => {
  const own = await fixture.database({ migrated: false });
  const takeover = await takeOverFromKilled(fixture, own, own.url, PORTABLE, false);
  expect(takeover.status).toBe('completed');
  expect(new Set(takeover.attemptsOfLost)).toEqual(new Set([2]));
  expect(new Set(takeover.attemptsOfOthers)).toEqual(new Set([1]));
});

describe('at SERIALIZABLE', () => {
  test('engines that get in each other’s way try again until everything has happened once', async () => {
    const own = await fixture.database({ migrated: false });
    const name = new URL(own.url).pathname.slice(1);
    await own.pool.query(`alter database ${name} set default_transaction_isolation = 'serializable'`);
    const config = { ...PORTABLE, EXECUTION_ENGINE_CONCURRENCY: '4' };
    const pair = [
      await fixture.engine({ url: own.url, name: 's1', config }),
      await fixture.engine({ url: own.url, name: 's2', config }),
    ];
    const ids = await Promise.all(pair.map((engine) => startSideBySide(engine, MIXED, sized(10, 20))));
    const template = await pair[0]!.publish({ steps: { a: { type: 'record' } } });
    const keyed = await Promise.all(
      Array.from({ length: 20 }, (_, at) => pair[at % 2]!.start(template, { idempotency_key: 'one' })),
    );
    expect(new Set(keyed).size).toBe(1);
    for (const id of [...ids.flat(), keyed[0]!]) expect((await pair[0]!.end(id)).status).toBe('completed');
    const { rows } = await own.pool.query(
      `select count(*)::integer as twice from (
         select 1 from test_runs where step not in ('f', 'p') group by step_id, attempt having count(*) > 1) t`,
    );
    expect(rows).toEqual([{ twice: 0 }]);
  });
});
