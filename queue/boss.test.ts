/** The queues as pg-boss has them, and what is left of jobs when whoever fetched them is gone. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import type { PgBoss } from 'pg-boss';
import type { Job } from '../core/jobs.ts';
import { type TestDatabase, testDatabase } from '../tests/support/database/database.ts';
import { QUEUES, startBoss } from './boss.ts';
import { ExecutionEngineQueue } from './execution-engine-queue.ts';

const YEAR_SECONDS = 365 * 24 * 3600;
const CLIENTS = 'test/boss';

let database: TestDatabase;
let boss: PgBoss;
let queue: ExecutionEngineQueue;
let looker: pg.Client;

beforeAll(async () => {
  database = await testDatabase();
  boss = await startBoss({ url: database.url, schema: 'pgboss', onError: () => {} });
  queue = new ExecutionEngineQueue(boss, 'pgboss.job');
  looker = await connect();
});

afterAll(async () => {
  await looker?.end();
  await boss?.stop({ graceful: false, close: true });
  await database?.drop();
});

async function connect(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: database.url, application_name: CLIENTS });
  client.on('error', () => {});
  await client.connect();
  return client;
}

const stepJob = (name: Job['queue']): Job => ({
  queue: name,
  id: randomUUID(),
  data: { kind: 'step', execution_id: randomUUID(), step_id: randomUUID() },
  priority: 0,
  startAfter: null,
});

async function insert(jobs: readonly Job[]): Promise<void> {
  for (const statement of await queue.insertStatements(jobs)) await looker.query(statement);
}

async function states(): Promise<Record<string, number>> {
  const { rows } = await looker.query(
    'select state, count(*)::integer as count from pgboss.job group by state',
  );
  return Object.fromEntries(rows.map(({ state, count }) => [state, count]));
}

test('every queue keeps its jobs for ten years, under the policy standard, and gives none up', async () => {
  for (const name of QUEUES) {
    expect(await boss.getQueue(name)).toMatchObject({
      name,
      policy: 'standard',
      retentionSeconds: 10 * YEAR_SECONDS,
      partition: true,
      retryLimit: 1_000_000,
    });
  }
});

test('a job is written with what its queue says', async () => {
  await insert(QUEUES.map(stepJob));
  const { rows } = await looker.query(
    `select name, policy, retry_limit, extract(epoch from keep_until - created_on)::float8 as kept from pgboss.job`,
  );
  expect(rows.map(({ name }) => name).sort()).toEqual([...QUEUES].sort());
  for (const { policy, retry_limit, kept } of rows) {
    expect([policy, retry_limit]).toEqual(['standard', 1_000_000]);
    expect(kept).toBeGreaterThanOrEqual(10 * YEAR_SECONDS - 1);
  }
  await looker.query('delete from pgboss.job');
});

test('a second start changes nothing of the queues', async () => {
  const read =
    'select name, policy, retention_seconds, expire_seconds, retry_limit from pgboss.queue order by name';
  const before = await looker.query(read);
  const other = await startBoss({ url: database.url, schema: 'pgboss', onError: () => {} });
  await other.stop({ graceful: false, close: true });
  expect((await looker.query(read)).rows).toEqual(before.rows);
});

test('jobs that were fetched by whoever died before the commit are there as if they had never been fetched', async () => {
  const jobs = Array.from({ length: 20 }, () => stepJob('StepExecutionQueue'));
  await insert(jobs);
  const dying = await connect();
  await dying.query('begin');
  const fetched = await queue.fetch(dying, 'StepExecutionQueue', 20);
  expect(fetched).toHaveLength(20);
  // To everybody else they are not active for a moment: the fetch is part of the transaction that consumes them.
  expect(await states()).toEqual({ created: 20 });
  await queue.consume(dying, fetched.slice(0, 10));
  const { rows } = await dying.query('select pg_backend_pid() as pid');
  await looker.query('select pg_terminate_backend($1)', [rows[0].pid]);
  for (;;) {
    const { rowCount } = await looker.query('select 1 from pg_stat_activity where pid = $1', [rows[0].pid]);
    if (rowCount === 0) break;
  }
  expect(await states()).toEqual({ created: 20 });

  const next = await connect();
  await next.query('begin');
  const again = await queue.fetch(next, 'StepExecutionQueue', 20);
  expect(again.map(({ id }) => id).sort()).toEqual(jobs.map(({ id }) => id).sort());
  expect(again.every(({ retryCount }) => retryCount === 0)).toBe(true);
  await queue.consume(next, again);
  await next.query('commit');
  await next.end();
  expect(await states()).toEqual({});
});
