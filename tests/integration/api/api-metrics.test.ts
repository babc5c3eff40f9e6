/**
 * The metrics of an engine that has done work: the format holds, and the figures are those of the database.
 */
import { describe, expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import type { JsonObject } from '../../../core/json/json.ts';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

const PROMTOOL = '/usr/bin/promtool';
const SLOTS = 2;

/** Samples by `name{labels}`, labels in the order of their names, without the engine's prefix. */
type Samples = ReadonlyMap<string, number>;

let database: EngineDatabase;
let engine: TestEngine;

fixtureForAll(
  async (fixture) => {
    database = await fixture.database();
    engine = await fixture.engine({
      config: { EXECUTION_ENGINE_CONCURRENCY: String(SLOTS) },
    });
  },
  { allFinal: false },
);

const scrape = async () => (await fetch(`${engine.url}/metrics`)).text();

async function samples(): Promise<Samples> {
  const found = new Map<string, number>();
  for (const line of (await scrape()).split('\n')) {
    const [, name, labels = '', value] = /^execution_engine_(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    if (name === undefined) continue;
    const sorted = [...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, text]) => `${key}=${text}`).sort();
    found.set(sorted.length === 0 ? name : `${name}{${sorted.join(',')}}`, Number(value));
  }
  return found;
}

/** The labelled samples of a metric, without those that are 0, summed over all templates: `{ "status=failed": 1 }`. */
function of(all: Samples, metric: string): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const [name, value] of all) {
    if (!name.startsWith(`${metric}{`) || value === 0) continue;
    const labels = name.slice(metric.length + 1, -1).replace(/,?template=[^,]*/, '');
    sums[labels] = (sums[labels] ?? 0) + value;
  }
  return sums;
}

const startedOf = (all: Samples) => of(all, 'executions_started_total')[''] ?? 0;

/** What happened to a metric meanwhile. */
async function grown(metrics: readonly string[], work: () => Promise<unknown>) {
  const before = await samples();
  await work();
  const after = await samples();
  return Object.fromEntries(
    metrics.map((metric) => {
      const past = of(before, metric);
      const growth = Object.entries(of(after, metric)).map(([labels, value]) => [
        labels,
        value - (past[labels] ?? 0),
      ]);
      return [metric, Object.fromEntries(growth.filter(([, value]) => value !== 0))];
    }),
  );
}

const retry = (limit: number) => ({ limit, delay: 1, jitter: false });

describe('the counters', () => {
  const COUNTED = ['executions_finished_total', 'steps_finished_total', 'step_retries_total', 'claims_total'];

  test('of work that succeeds: every step once, every retry, every claim in its queue', async () => {
    const definition = {
      steps: {
        start: { type: 'noop' },
        left: { type: 'flaky', needs: ['start'], with: { failures: 2 }, retry: retry(3) },
        right: { type: 'record', needs: ['start'] },
        never: { type: 'record', needs: ['start'], when: false },
        meet: { type: 'merge', needs: ['left', 'right'] },
      },
    };
    const before = await samples();
    const growth = await grown(COUNTED, async () => {
      const template = await engine.publish(definition);
      const ids = await Promise.all(Array.from({ length: 5 }, () => engine.start(template)));
      for (const id of ids) expect((await engine.end(id)).status).toBe('completed');
    });
    expect(growth).toEqual({
      executions_finished_total: { 'status=completed': 5 },
      steps_finished_total: {
        'status=completed,type=noop': 5,
        'status=completed,type=flaky': 5,
        'status=completed,type=record': 5,
        'status=skipped,type=record': 5,
        'status=completed,type=merge': 5,
      },
      step_retries_total: { 'type=flaky': 10 },
      // start, left three times, right, and the one whose guard skips it: five each.
      claims_total: { 'queue=StepExecutionQueue': 30, 'queue=MergeExecutionQueue': 5 },
    });
    expect(startedOf(await samples()) - startedOf(before)).toBe(5);
  });

  test('of work that ends in every other way', async () => {
    const gate = { type: 'gate', with: { name: 'never' } };
    const after = { type: 'noop', needs: ['a'] };
    const runs = (id: string) =>
      database.until('select true from test_runs where execution_id = $1 limit 1', [id]);
    const growth = await grown(COUNTED, async () => {
      await engine.run({ steps: { a: { type: 'fail', with: { code: 'c', message: 'm' } }, b: after } });
      await engine.run({ timeout: '20ms', steps: { a: gate, b: after } });
      const definition = { steps: { a: gate, b: after } };
      const cancelled = await engine.start(await engine.publish(definition));
      await runs(cancelled);
      await engine.client.cancel(cancelled);
      const stopped = await engine.start(await engine.publish(definition));
      await runs(stopped);
      await engine.client.stop(stopped);
      expect((await engine.end(stopped)).status).toBe('cancelled');
    });
    expect(growth.executions_finished_total).toEqual({
      'status=failed': 1,
      'status=timed_out': 1,
      'status=cancelled': 2,
    });
    expect(growth.step_retries_total).toEqual({});
    expect(growth.steps_finished_total).toEqual({
      'status=failed,type=fail': 1,
      // What a stopped handler answers within its grace time is recorded: here that it gave up.
      'status=failed,type=gate': 1,
      'status=cancelled,type=gate': 2,
      'status=cancelled,type=noop': 4,
    });
    expect(growth.claims_total).toEqual({ 'queue=StepExecutionQueue': 4 });
  });

  test('of a step that waits for its retry: once, whatever happens to it after', async () => {
    const growth = await grown(COUNTED, async () => {
      const id = await engine.start(
        await engine.publish({
          steps: { a: { type: 'flaky', retry: { limit: 1, delay: '1h' } }, b: { type: 'noop' } },
        }),
      );
      await database.until(
        `select count(*) = 2 from workflow_step_executions
          where workflow_execution_id = $1 and status in ('retrying', 'completed')`,
        [id],
      );
      await engine.client.stop(id);
      await engine.end(id);
    });
    expect(growth.step_retries_total).toEqual({ 'type=flaky': 1 });
    expect(growth.steps_finished_total).toEqual({
      'status=cancelled,type=flaky': 1,
      'status=completed,type=noop': 1,
    });
  });

  test('of a result that comes too late', async () => {
    const before = (await samples()).get('stale_completions_total')!;
    const id = await engine.start(
      await engine.publish({ steps: { a: { type: 'deaf', with: { name: 'late' } } } }),
    );
    await database.until('select true from test_runs where execution_id = $1', [id]);
    await engine.client.cancel(id);
    await database.openGate('late');
    await engine.metricReaches('execution_engine_stale_completions_total', before + 1);
  });

  test('are, over everything so far, what the rows say', async () => {
    const { rows: executions } = await database.pool.query(
      `select 'status=' || status as labels, count(*)::integer as count from workflow_executions
        where completed_at is not null group by 1`,
    );
    const { rows: steps } = await database.pool.query(
      `select 'status=' || s.status || ',type=' || t.type as labels, count(*)::integer as count
         from workflow_step_executions s join workflow_step_templates t on t.id = s.step_template_id group by 1`,
    );
    const { rows: attempts } = await database.pool.query(
      'select sum(attempt_count)::integer as count from workflow_step_executions',
    );
    const table = (rows: { labels: string; count: number }[]) =>
      Object.fromEntries(rows.map(({ labels, count }) => [labels, count]));
    const all = await samples();
    expect(of(all, 'executions_finished_total')).toEqual(table(executions));
    expect(of(all, 'steps_finished_total')).toEqual(table(steps));
    const sum = (metric: string) => Object.values(of(all, metric)).reduce((total, value) => total + value, 0);
    const { rows: guarded } = await database.pool.query(
      `select count(*)::integer as count from workflow_step_executions where status = 'skipped'`,
    );
    expect(sum('claims_total')).toBe(attempts[0].count + guarded[0].count);
  });
});

describe('of a template', () => {
  const ofTemplate = async (template: string) =>
    Object.fromEntries(
      [...(await samples())].filter(
        ([name, value]) => name.includes(`template=${template}`) && value !== 0 && !name.includes('_bucket'),
      ),
    );

  test('starts, ends, durations and failed steps are counted under its name', async () => {
    const name = `orders-${crypto.randomUUID()}`;
    const definition = {
      name,
      onFailure: 'continue',
      steps: {
        a: { type: 'flaky', with: { failures: 1 }, retry: retry(1) },
        b: { type: 'fail', with: { code: 'c', message: 'm' } },
        c: { type: 'fail', with: { code: 'c', message: 'm' } },
      },
    };
    await engine.run(definition);
    const { [`execution_duration_seconds_sum{template=${name}}`]: seconds, ...counts } =
      await ofTemplate(name);
    expect(seconds).toBeGreaterThan(0);
    expect(counts).toEqual({
      [`executions_started_total{template=${name}}`]: 1,
      [`executions_finished_total{status=failed,template=${name}}`]: 1,
      [`execution_duration_seconds_count{template=${name}}`]: 1,
      [`steps_failed_total{template=${name}}`]: 2,
    });
  });

  test('an execution that never began has no duration', async () => {
    const name = await engine.publish({
      name: `later-${crypto.randomUUID()}`,
      steps: { a: { type: 'noop' } },
    });
    await engine.client.cancel(await engine.start(name, { start_after: '1h' }));
    expect(await ofTemplate(name)).toEqual({
      [`executions_started_total{template=${name}}`]: 1,
      [`executions_finished_total{status=cancelled,template=${name}}`]: 1,
    });
  });
});

describe('the histograms', () => {
  test('of commits count every commit once, with its time and its events', async () => {
    for (let at = 0; at <= 10; at += 1) await engine.run({ steps: { a: { type: 'noop' } } });
    const all = await samples();
    const commits = all.get('commit_batch_size_count')!;
    expect(commits).toBeGreaterThan(10);
    expect(all.get('transition_duration_seconds_count')).toBe(commits);
    expect(all.get('transition_duration_seconds_sum')).toBeGreaterThan(0);
    expect(all.get('commit_batch_size_sum')).toBeGreaterThanOrEqual(startedOf(all));
    for (const name of ['commit_batch_size', 'transition_duration_seconds'])
      expectCumulative(all, name, commits);
  });

  test('of one commit with many starts have its size', async () => {
    const template = await engine.publish({ steps: { a: { type: 'noop' } } });
    const before = await samples();
    const items = Array.from({ length: 120 }, () => ({ template, start_after: '1h' }));
    const started = await engine.client.startMany(items);
    const after = await samples();
    const growth = (name: string) => after.get(name)! - before.get(name)!;
    expect(growth('commit_batch_size_sum')).toBe(120);
    expect(growth('commit_batch_size_count')).toBe(1);
    expect(growth('commit_batch_size_bucket{le=100}')).toBe(0);
    expect(growth('commit_batch_size_bucket{le=200}')).toBe(1);
    await Promise.all(started.map(({ execution_id }) => engine.client.cancel(execution_id)));
  });
});

/** Buckets grow with their bound, and the last has everything. */
function expectCumulative(all: Samples, name: string, count: number): void {
  const buckets = [...all].filter(([key]) => key.startsWith(`${name}_bucket{`)).map(([, value]) => value);
  expect(buckets.length).toBeGreaterThan(5);
  expect(buckets).toEqual(buckets.toSorted((a, b) => a - b));
  expect(buckets.at(-1)).toBe(count);
}

describe('the gauges', () => {
  test('show what waits for a slot, and nothing when it is done', async () => {
    const gate = { type: 'gate', with: { name: 'slots' } };
    const wide = (count: number): JsonObject => ({
      steps: Object.fromEntries(Array.from({ length: count }, (_, at) => [`s${at}`, gate])),
    });
    const id = await engine.start(await engine.publish(wide(7)));
    await database.until('select count(*) = $2 from test_runs where execution_id = $1', [id, SLOTS]);
    const pending = await Promise.all([1, 2, 3].map(async () => engine.start(await engine.publish(wide(1)))));

    const busy = await samples();
    expect(of(busy, 'active_steps')).toEqual({ 'status=running': SLOTS, 'status=queued': 7 - SLOTS });
    expect(of(busy, 'active_executions')).toEqual({ 'status=running': 1, 'status=pending': pending.length });
    expect([busy.get('running_steps'), busy.get('capacity')]).toEqual([SLOTS, SLOTS]);
    const { rows } = await database.pool.query(
      `select 'queue=' || name as queue, count(*)::integer as depth from pgboss.job
        where state < 'active' and start_after <= now() and name like '%ExecutionQueue' group by 1`,
    );
    const depths = of(busy, 'queue_depth');
    expect(depths).toMatchObject(Object.fromEntries(rows.map(({ queue, depth }) => [queue, depth])));
    expect(depths).toEqual({
      'queue=StepExecutionQueue': 7 - SLOTS,
      'queue=WorkflowExecutionQueue': pending.length,
    });
    const queues = ['StepExecutionQueue', 'MergeExecutionQueue', 'WorkflowExecutionQueue'];
    for (const queue of queues) expect(busy.get(`queue_depth{queue=${queue}}`)).toBeDefined();
    expect(of(busy, 'queue_oldest_age_seconds')).toHaveProperty(['queue=StepExecutionQueue']);

    await database.openGate('slots');
    for (const started of [id, ...pending]) expect((await engine.end(started)).status).toBe('completed');
    await engine.metricReaches('execution_engine_running_steps', 0);
    const gauges = ['active_steps', 'active_executions', 'queue_depth', 'queue_oldest_age_seconds'];
    // A job that nothing awaits any more is dropped by the next look.
    for (let idle = await samples(); gauges.some((gauge) => Object.keys(of(idle, gauge)).length > 0); )
      idle = await samples();
  });

  test('of pools add up to their size', async () => {
    const all = await samples();
    for (const pool of ['api', 'work']) {
      const [idle, busy] = ['idle', 'busy'].map((state) =>
        all.get(`database_pool_connections{pool=${pool},state=${state}}`),
      );
      expect(idle! + busy!).toBeLessThanOrEqual(10);
      expect(idle! + busy!).toBeGreaterThan(0);
    }
  });
});

describe('the text', () => {
  test.skipIf(!existsSync(PROMTOOL))(
    'passes promtool check metrics (skipped where there is no promtool)',
    async () => {
      const lint = Bun.spawn([PROMTOOL, 'check', 'metrics'], {
        stdin: new Blob([await scrape()]),
        stdout: 'pipe',
        stderr: 'pipe',
      });
      const said = (await new Response(lint.stdout).text()) + (await new Response(lint.stderr).text());
      expect([await lint.exited, said]).toEqual([0, '']);
    },
  );

  test('has no id or path in a label, whoever asked for what, and of names those of templates alone', async () => {
    const name = await engine.publish({
      name: `label-${crypto.randomUUID()}`,
      steps: { labelled: { type: 'noop' } },
    });
    const id = await engine.start(name);
    await engine.end(id);
    await fetch(`${engine.url}/some/path/${id}`);
    await fetch(`${engine.url}/api/v1/templates/${name}`);
    const text = await scrape();
    for (const word of [id, 'labelled', 'some/path', database.url]) expect(text).not.toContain(word);
    const linesWithName = text.split('\n').filter((line) => line.includes(name));
    expect(linesWithName.filter((line) => !line.includes(`template="${name}"`))).toEqual([]);
    expect(text).toContain('route="/api/v1/templates/{name}"');
    const response = await fetch(`${engine.url}/metrics`);
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect((await samples()).get('collect_errors_total')).toBe(0);
  });
});
