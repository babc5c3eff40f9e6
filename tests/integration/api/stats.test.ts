/**
 * Statistics over HTTP against a scan of the executions, and the counting of ends while its transactions are killed.
 */
import { expect, test } from 'bun:test';
import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { createPool } from '../../../db/connection/client.ts';
import { EndCounter } from '../../../maintenance/end-counter.ts';
import type { StatsBody } from '../../../services/stats/stats-answers.ts';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

let database: EngineDatabase;
let engine: TestEngine;

const fixture = fixtureForAll(async (fixture) => {
  database = await fixture.database();
  engine = await fixture.engine();
});

const features = { advisoryLocks: true };
const counterOf = (pool: pg.Pool) => new EndCounter({ pool, features, onError: () => {} });

async function statsOf(query: string): Promise<StatsBody> {
  const { status, body } = await engine.request('GET', `/admin/stats?${query}`);
  expect({ status, body: status === 200 ? null : body }).toEqual({ status: 200, body: null });
  return body as unknown as StatsBody;
}

const SCAN = `
  select status, count(*)::int as count,
         percentile_disc(0.5) within group (order by extract(epoch from completed_at - started_at) * 1000) as p50,
         percentile_disc(0.95) within group (order by extract(epoch from completed_at - started_at) * 1000) as p95
    from workflow_executions e join workflow_templates t on t.id = e.workflow_template_id
   where e.parent_step_id is null and e.completed_at is not null and ($1::text is null or t.name = $1)
     and e.completed_at >= $2 and e.completed_at < $3
   group by grouping sets ((status), ())`;

/** What a scan says of the executions that ended in a time. */
async function scan(template: string | null, from: string, to: string) {
  const { rows } = await database.pool.query(SCAN, [template, from, to]);
  const numbers = Object.fromEntries(rows.map(({ status, count }) => [status ?? 'total', count]));
  const all = rows.find(({ status }) => status === null);
  return { numbers, p50: Number(all?.p50 ?? Number.NaN), p95: Number(all?.p95 ?? Number.NaN) };
}

async function expectScanned(body: StatsBody): Promise<void> {
  const { data, totals, since, until, bucket_ms, template } = body;
  const places = [
    { ...totals, from: since, to: until },
    ...data
      .filter(({ total }) => total > 0)
      .map((one) => ({ ...one, from: one.at, to: new Date(Date.parse(one.at) + bucket_ms).toISOString() })),
  ];
  for (const { from, to, p50_ms, p95_ms, ...numbers } of places) {
    const found = await scan(template, from, to);
    for (const end of ['total', 'completed', 'failed', 'cancelled', 'timed_out'] as const)
      expect([end, numbers[end]]).toEqual([end, found.numbers[end] ?? 0]);
    if (numbers.total === 0) continue;
    expect(Math.abs(p50_ms! - found.p50)).toBeLessThanOrEqual(found.p50 * 0.05);
    expect(Math.abs(p95_ms! - found.p95)).toBeLessThanOrEqual(found.p95 * 0.05);
  }
  expect(data.reduce((sum, { total }) => sum + total, 0)).toBe(totals.total);
}

test('statistics are those of a scan, for all templates and for one', async () => {
  const slow = await engine.publish({
    steps: { w: { type: 'delay', with: { for: '${{ input.ms }}' } } },
    timeout: '5s',
  });
  const bad = await engine.publish({ steps: { f: { type: 'fail', with: { message: 'no' } } } });
  const late = await engine.publish({
    timeout: '30ms',
    steps: { w: { type: 'wait', with: { signal: 'never' } } },
  });
  const parent = await engine.publish({ steps: { c: { type: 'workflow', with: { name: bad } } } });
  const items = [
    ...Array.from({ length: 40 }, (_, at) => ({ template: slow, inputs: { ms: 1 + at * 7 } })),
    ...Array.from({ length: 9 }, () => ({ template: bad })),
    ...Array.from({ length: 3 }, () => ({ template: late })),
    // Its child is counted with none.
    { template: parent },
    // It ends before it begins: it has no duration.
    { template: slow, start_after: '1h' },
  ];
  const started = await engine.client.startMany(items);
  await engine.client.cancel(started.at(-1)!.execution_id);
  await Promise.all(started.map(({ execution_id }) => engine.end(execution_id)));
  await counterOf(database.pool).tick();
  await database.until('select not exists (select 1 from workflow_ended)');
  for (const query of [
    '',
    'bucket=1m',
    'bucket=5m',
    'bucket=1h',
    'bucket=1d',
    `bucket=1m&template=${slow}`,
    `template=${bad}`,
  ]) {
    const since = new Date(Date.now() - 3_600_000).toISOString();
    await expectScanned(await statsOf(`since=${since}&${query}`));
  }
  expect((await statsOf('')).totals).toMatchObject({ total: 54, failed: 10, timed_out: 3, cancelled: 1 });
  expect((await statsOf(`template=${randomUUID()}`)).totals.total).toBe(0);
  expect((await statsOf('until=2020-01-01T00:00:00Z')).totals).toMatchObject({ total: 0, p50_ms: null });
});

test('counts of minutes are forgotten after 40 days, those of longer spans are not', async () => {
  const counts = () =>
    database.pool.query(
      `select width, count(*)::int as count from workflow_end_counts
        where template = 'old' group by width order by width`,
    );
  await database.pool.query(
    `insert into workflow_end_counts
     select width, '*', 'old', now() - days * interval '1 day', 1, 0, 0, 0, '{}'
       from unnest(array[60, 300, 3600, 86400]) width, unnest(array[39, 41, 399, 401]) days`,
  );
  await counterOf(database.pool).forget();
  expect((await counts()).rows.map(({ count }) => count)).toEqual([1, 3, 4, 4]);
});

test.each([
  ['bucket=7m', '/bucket', 'not_allowed'],
  ['bucket=2d', '/bucket', 'not_allowed'],
  ['bucket=x', '/bucket', 'not_allowed'],
  ['since=2026-01-01T00:00:00Z&until=2026-01-02T00:00:00Z&bucket=1m', '/bucket', 'too_small'],
  ['since=2000-01-01T00:00:00Z&bucket=1d', '/bucket', 'too_small'],
  // Counts of minutes are kept for 40 days.
  ['since=2026-01-01T00:00:00Z&until=2026-01-01T01:00:00Z&bucket=1m', '/bucket', 'too_small'],
  ['since=2020-01-01T00:00:00Z&until=2020-01-01T01:00:00Z&bucket=5m', '/bucket', 'too_small'],
  ['since=2026-01-01T00:00:00Z&until=2026-01-01T00:00:00Z', '/since', 'not_allowed'],
  ['since=yesterday', '/since', 'wrong_format'],
  ['nothing=1', '/nothing', 'unknown_field'],
])('GET /admin/stats?%s is 422 at %s', async (query, pointer, code) => {
  expect(await engine.request('GET', `/admin/stats?${query}`)).toMatchObject({
    status: 422,
    body: { errors: [{ pointer, code }] },
  });
});

test('a thousand buckets are answered, one more is not', async () => {
  const ask = (days: number) => {
    const until = new Date(Date.UTC(2026, 0, 1)).toISOString();
    const since = new Date(Date.UTC(2026, 0, 1 - days)).toISOString();
    return engine.request('GET', `/admin/stats?since=${since}&until=${until}&bucket=1d`);
  };
  expect((await ask(1_000)).status).toBe(200);
  expect((await ask(1_001)).status).toBe(422);
});

const PUT = `
  insert into workflow_ended (execution_id, workflow_template_id, workspace_id, status, ended_at, duration_ms)
  select gen_random_uuid(), t.id, case when n % 3 = 0 then 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa'::uuid end,
         (array['completed', 'failed', 'cancelled'])[1 + n % 3],
         timestamptz '2026-06-01T00:00:00Z' + ($1::int * 1000 + n) * interval '3 seconds', n
    from generate_series(1, 1000) n, (select id from workflow_templates where name = $2) t`;

test('each end is counted once while engines count at the same time and their sessions are killed', async () => {
  const template = await engine.publish({ steps: { a: { type: 'noop' } } });
  const name = `counting-${randomUUID()}`;
  const options = { max: 2, applicationName: name, onError: () => {} };
  const pools = await Promise.all(
    [0, 1].map(() => fixture.use(createPool(database.url, options), (pool) => pool.end())),
  );
  const counters = pools.map(counterOf);
  let isOver = false;
  const killing = (async () => {
    while (!isOver)
      await database.pool.query(
        'select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1 and random() < 0.1',
        [name],
      );
  })();
  for (let batch = 0; batch < 4; batch += 1) {
    await database.pool.query(PUT, [batch, template]);
    await Promise.allSettled(counters.map((counter) => counter.tick()));
  }
  isOver = true;
  await killing;
  // The last connections of the others may be gone.
  const last = counterOf(database.pool);
  await last.tick();
  await database.until('select not exists (select 1 from workflow_ended)');
  const day = `since=2026-06-01T00:00:00Z&until=2026-06-02T00:00:00Z&template=${template}`;
  const { totals, data } = await statsOf(`${day}&bucket=5m`);
  expect(totals).toMatchObject({ total: 4_000, failed: 1_336, cancelled: 1_332, completed: 1_332 });
  expect(data.filter(({ total }) => total === 100).length).toBeGreaterThan(35);
  await last.forget();
  expect((await statsOf(`${day}&bucket=5m`)).totals.total).toBe(4_000);
  const ofWorkspace = await statsOf(`${day}&workspace_id=aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa`);
  expect(ofWorkspace.totals).toMatchObject({ total: 1_332, completed: 1_332 });
});
