/**
 * Step limits over several engines: `concurrency` and `rateLimit` as rows in the database show them.
 */
import { describe, expect, test } from 'bun:test';
import type { JsonObject } from '../../../core/json/json.ts';
import { type EngineDatabase, type EngineProcess, statuses, stepOf } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { assertInvariants } from '../../support/invariants.ts';

let database: EngineDatabase;
let one: EngineProcess;
let two: EngineProcess;

const CONFIG = { EXECUTION_ENGINE_CONCURRENCY: '20' };

const fixture = fixtureForAll(async () => {
  database = await fixture.database();
  one = await fixture.engineProcess({ name: 'one', config: CONFIG });
  two = await fixture.engineProcess({ name: 'two', config: CONFIG });
});

/** `count` steps side by side, each as `step` says. */
function sideBySide(count: number, step: JsonObject): JsonObject {
  return { steps: Object.fromEntries(Array.from({ length: count }, (_, at) => [`s${at}`, step])) };
}

function limited(key: string, limit: number, parameters: JsonObject, more: JsonObject = {}): JsonObject {
  return { type: 'interval', with: parameters, concurrency: { key, limit }, ...more };
}

/** The most runs with the note at any one moment; one that never ended runs for ever. */
async function maxAtOnce(note: string): Promise<number> {
  const { rows } = await database.pool.query(
    `select coalesce(max(overlap.count), 0)::integer as most
       from test_intervals a
       cross join lateral (
         select count(*) from test_intervals b
          where b.note = a.note and b.begun_at <= a.begun_at and (b.ended_at is null or b.ended_at > a.begun_at)) overlap
      where a.note = $1`,
    [note],
  );
  return rows[0].most;
}

/** Of the steps' starts, the most in any window of the length, wherever it begins. */
async function maxPerWindow(ids: readonly string[], perMs: number): Promise<number> {
  const { rows } = await database.pool.query(
    `with starts as (select started_at as at from workflow_step_executions
                      where workflow_execution_id = any($1::uuid[]) and started_at is not null)
     select max(within.count)::integer as most from starts a
      cross join lateral (select count(*) from starts b
                           where b.at >= a.at and b.at < a.at + $2 * interval '1 millisecond') within`,
    [ids, perMs],
  );
  return rows[0].most;
}

const running = (note: string, count: number) =>
  database.until('select count(*) = $2 from test_intervals where note = $1 and ended_at is null', [
    note,
    count,
  ]);

describe('concurrency', () => {
  test('200 steps of several executions on two engines share a key: three run at a time, and all complete', async () => {
    const held = await one.publish(sideBySide(1, limited('crm', 3, { note: 'crm', gate: 'crm' })));
    const template = await one.publish(sideBySide(50, limited('crm', 3, { note: 'crm', ms: 5 })));
    const first = await Promise.all([one, two].map((engine) => engine.start(held)));
    // Each engine has a slot before the others begin: one that is slow for a while would have none of the steps.
    await database.until(
      `select count(distinct engine) = 2 from test_intervals where note = 'crm' and ended_at is null`,
    );
    const others = await Promise.all([one, two, one, two].map((engine) => engine.start(template)));
    await database.openGate('crm');
    const ids = [...first, ...others];
    const ends = await Promise.all(ids.map((id) => one.end(id)));
    expect(ends.map(({ status }) => status)).toEqual(Array(6).fill('completed'));
    expect(await maxAtOnce('crm')).toBe(3);
    const { rows } = await database.pool.query(
      `select count(*)::integer as runs, count(distinct step_id)::integer as steps, count(distinct engine)::integer as engines
         from test_intervals where note = 'crm'`,
    );
    expect(rows[0]).toMatchObject({ runs: 202, steps: 202 });
    expect(rows[0].engines).toBeGreaterThanOrEqual(2);
  });

  test('a step that is held back holds back no other', async () => {
    const id = await one.start(
      await one.publish({
        steps: {
          first: limited('narrow', 1, { note: 'narrow', gate: 'narrow' }),
          ...(sideBySide(60, limited('narrow', 1, { note: 'narrow' })).steps as JsonObject),
          free: { type: 'record', with: { value: 1 } },
          after: { type: 'record', needs: ['free'] },
        },
      }),
    );
    await database.until(
      `select count(*) = 2 from workflow_step_executions
        where workflow_execution_id = $1 and status = 'completed'`,
      [id],
    );
    await running('narrow', 1);
    const free = await one.run(sideBySide(30, { type: 'record' }));
    expect(free.status).toBe('completed');
    const held = await one.client.status(id);
    expect(held.progress).toMatchObject({ running: 1, queued: 60, completed: 2 });
    await database.openGate('narrow');
    expect((await one.end(id)).status).toBe('completed');
    expect(await maxAtOnce('narrow')).toBe(1);
  });

  test('a step that is held back keeps its ticket, however often an engine looks at it in vain', async () => {
    const id = await one.start(
      await one.publish(sideBySide(2, limited('kept', 1, { note: 'kept', gate: 'kept' }))),
    );
    await running('kept', 1);
    const held = `select s.id from workflow_step_executions s where s.workflow_execution_id = $1 and s.status = 'queued'`;
    const { rows } = await database.pool.query(
      `select j.start_after::text as due from pgboss.job j where j.id = (${held})`,
      [id],
    );
    await database.until(
      `select coalesce((select j.start_after::text from pgboss.job j where j.id = (${held})), '') <> $2`,
      [id, rows[0].due],
    );
    await assertInvariants(database.url, { allFinal: false });
    await database.openGate('kept');
    expect((await two.end(id)).status).toBe('completed');
  });

  test('keys that differ after interpolation are separate, and the key may read outputs', async () => {
    const template = await one.publish({
      steps: {
        who: { type: 'record', with: { value: '${{ input.tenant }}' } },
        call: limited('t-${{ steps.who.output }}', 1, { note: 'keys', gate: 'keys' }, { needs: ['who'] }),
      },
    });
    const inputs = ['a', 'b', 'b'].map((tenant) => ({ inputs: { tenant } }));
    const ids = await Promise.all(inputs.map((item) => one.start(template, item)));
    await running('keys', 2);
    await database.until(
      `select count(*) = 3 and count(*) filter (where s.status = 'queued') = 1
         from workflow_step_executions s join workflow_step_templates t on t.id = s.step_template_id
        where s.workflow_execution_id = any($1::uuid[]) and t.key = 'call'`,
      [ids],
    );
    await database.openGate('keys');
    for (const id of ids) expect((await two.end(id)).status).toBe('completed');
    expect(await maxAtOnce('keys')).toBe(2);
  });

  test('the same key in two workspaces is two keys', async () => {
    const definition = {
      name: 'shared-key',
      ...sideBySide(2, limited('same', 1, { note: 'spaces', gate: 'spaces' })),
    };
    const spaces = ['11111111-1111-4111-8111-111111111111', '22222222-2222-4222-8222-222222222222'];
    const keys = spaces.map((space, at) => `key-of-tenant-number-${at}=${space}:editor`);
    const engine = await fixture.engine({
      name: 'spaces',
      config: { EXECUTION_ENGINE_API_KEYS: keys.join(',') },
    });
    const start = async (at: number): Promise<string> => {
      const token = `key-of-tenant-number-${at}`;
      await engine.request('POST', '/api/v1/templates', definition, token);
      const started = await engine.request(
        'POST',
        '/api/v1/execution/start',
        { template: definition.name },
        token,
      );
      return started.body.execution_id as string;
    };
    const ids = [await start(0), await start(1)];
    await running('spaces', 2);
    const { rows } = await database.pool.query(
      `select count(distinct workspace_id)::integer as limits from workflow_step_limits where key = 'same'`,
    );
    expect(rows[0].limits).toBe(2);
    await database.openGate('spaces');
    await database.until(
      `select count(*) = 2 from workflow_executions where id = any($1::uuid[]) and status = 'completed'`,
      [ids],
    );
    expect(await maxAtOnce('spaces')).toBe(2);
  });

  test('a retry asks again, and the wait for it holds no slot', async () => {
    const retry = { limit: 1, delay: '1h', jitter: false };
    const failing = await one.start(
      await one.publish(sideBySide(1, limited('retried', 1, { note: 'retried', failures: 1 }, { retry }))),
    );
    await database.until(
      `select status = 'retrying' from workflow_step_executions where workflow_execution_id = $1`,
      [failing],
    );
    const other = await two.run(sideBySide(3, limited('retried', 1, { note: 'retried' })));
    expect(other.status).toBe('completed');
    await one.request('POST', `/admin/executions/${failing}/cancel`, {});
    const quick = { limit: 2, delay: '10ms' };
    const end = await one.run(
      sideBySide(3, limited('retried', 1, { note: 'retried', failures: 2 }, { retry: quick })),
    );
    expect(end.status).toBe('completed');
    expect(end.steps.map(({ attempt_count }) => attempt_count)).toEqual([3, 3, 3]);
    expect(await maxAtOnce('retried')).toBe(1);
  });

  test('a cancel frees the slots of what ran and the places of what was held', async () => {
    const template = await one.publish(sideBySide(5, limited('cut', 2, { note: 'cut', gate: 'cut' })));
    const id = await one.start(template);
    await running('cut', 2);
    await two.request('POST', `/admin/executions/${id}/cancel`, {});
    const end = await two.run(sideBySide(5, limited('cut', 2, { note: 'after-cut' })));
    expect(end.status).toBe('completed');
    expect(await maxAtOnce('after-cut')).toBeLessThanOrEqual(2);
    await database.openGate('cut');
  });

  test('a deleted execution frees its slots', async () => {
    const id = await one.start(
      await one.publish(sideBySide(3, limited('gone', 1, { note: 'gone', gate: 'gone' }))),
    );
    await running('gone', 1);
    await database.pool.query('delete from workflow_executions where id = $1', [id]);
    await database.pool.query(`delete from pgboss.job where data ->> 'execution_id' = $1`, [id]);
    expect((await two.run(sideBySide(2, limited('gone', 1, { note: 'after' })))).status).toBe('completed');
    await database.openGate('gone');
  });
});

describe('before it asks', () => {
  test('a key that cannot be evaluated fails the step without an attempt', async () => {
    const end = await one.run({
      steps: { bad: limited('${{ input.missing.name }}', 1, { note: 'bad' }) },
    });
    expect(end.status).toBe('failed');
    const bad = stepOf(end, 'bad');
    expect(bad).toMatchObject({ status: 'failed', attempt_count: 0, error: { code: 'expression_failed' } });
    expect(bad.error!.message).toContain('input.missing.name');
    expect(await maxAtOnce('bad')).toBe(0);
  });

  test('a step that its guard skips waits for no limit and counts for none', async () => {
    const holder = await one.start(
      await one.publish(sideBySide(1, limited('guarded', 1, { note: 'guarded', gate: 'guarded' }))),
    );
    await running('guarded', 1);
    const end = await one.run({
      steps: {
        skipped: limited('guarded', 1, { note: 'skipped' }, { when: '${{ input.no }}' }),
        broken: limited('guarded', 1, {}, { when: '${{ input.a.b }}' }),
        after: { type: 'record', needs: [{ step: 'broken', on: 'failure' }] },
      },
    });
    expect(statuses(end)).toEqual({ skipped: 'skipped', broken: 'failed', after: 'completed' });
    await database.openGate('guarded');
    await one.end(holder);
  });

  test('a key that only the sandbox can compute works as well', async () => {
    const end = await one.run(
      sideBySide(
        4,
        limited("${{ ['a', 'b'].map((x) => x.toUpperCase()).join('-') }}", 1, { note: 'sandboxed' }),
      ),
    );
    expect(end.status).toBe('completed');
    expect(await maxAtOnce('sandboxed')).toBe(1);
    const { rows } = await database.pool.query(`select 1 from workflow_step_limits where key = 'A-B'`);
    expect(rows).toHaveLength(1);
  });
});

describe('rateLimit', () => {
  test('never more starts in a window than the limit, over two engines', async () => {
    const template = await one.publish(
      sideBySide(10, { type: 'record', rateLimit: { key: 'api', limit: 4, per: '250ms' } }),
    );
    const ids = await Promise.all([one.start(template), two.start(template)]);
    for (const id of ids) expect((await one.end(id)).status).toBe('completed');
    expect(await maxPerWindow(ids, 250)).toBeLessThanOrEqual(4);
  });

  test('what is used up is free again only when the window has passed, whenever it began', async () => {
    const template = await one.publish(
      sideBySide(12, { type: 'record', rateLimit: { key: 'slow', limit: 5, per: '2s' } }),
    );
    const ids = await Promise.all([one.start(template), two.start(template)]);
    for (const id of ids) expect((await two.end(id)).status).toBe('completed');
    expect(await maxPerWindow(ids, 2_000)).toBeLessThanOrEqual(5);
  });

  test('with both limits both hold', async () => {
    const step = {
      ...limited('both', 2, { note: 'both', ms: 20 }),
      rateLimit: { key: 'both', limit: 3, per: '200ms' },
    };
    const id = await two.start(await two.publish(sideBySide(12, step)));
    expect((await two.end(id)).status).toBe('completed');
    expect(await maxPerWindow([id], 200)).toBeLessThanOrEqual(3);
    expect(await maxAtOnce('both')).toBeLessThanOrEqual(2);
  });

  test('a step that a long window holds back ends with its execution', async () => {
    const id = await one.start(
      await one.publish(sideBySide(3, { type: 'record', rateLimit: { key: 'daily', limit: 1, per: '30d' } })),
    );
    await database.until(
      `select count(*) = 1 from workflow_step_executions where workflow_execution_id = $1 and status = 'completed'`,
      [id],
    );
    await one.request('POST', '/api/v1/execution/stop', { execution_id: id });
    expect((await one.end(id)).progress).toMatchObject({ completed: 1, cancelled: 2 });
  });
});

test('an engine that is killed gives its slots back', async () => {
  const three = await fixture.engineProcess({ name: 'three', config: CONFIG });
  const template = await three.publish(
    sideBySide(6, limited('killed', 2, { note: 'killed', gate: 'killed' })),
  );
  const id = await three.start(template);
  await running('killed', 2);
  const { rows } = await database.pool.query(
    `update test_intervals set ended_at = clock_timestamp() where note = 'killed' and engine = 'three' returning 1`,
  );
  three.kill('SIGKILL');
  await three.exited;
  expect(rows.length).toBeGreaterThan(0);
  await database.openGate('killed');
  expect((await two.end(id)).status).toBe('completed');
  expect(await maxAtOnce('killed')).toBeLessThanOrEqual(2);
});
