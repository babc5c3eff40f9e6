/**
 * `foreach`: steps for each item, as scopes of the step.
 */
import { describe, expect, test } from 'bun:test';
import type { Json, JsonObject } from '../../../core/json/json.ts';
import { type EngineDatabase, statuses, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { httpPeer } from '../../support/http-peer.ts';

let database: EngineDatabase;
let engine: TestEngine;

fixtureForAll(async (fixture) => {
  database = await fixture.database();
  engine = await fixture.engine({ config: { EXECUTION_ENGINE_HTTP_ALLOW: '127.0.0.1' } });
});

const one = (value: Json): JsonObject => ({ one: { type: 'transform', with: { value } } });
const each = (items: Json, steps: JsonObject, more: JsonObject = {}): JsonObject => ({
  steps: { each: { type: 'foreach', with: { items, steps, ...more } } },
});
const RESULT = '${{ steps.one.output }}';
const count = (length: number) => Array.from({ length }, (_, index) => index);
/** Fails for the items that are at least the number. */
const picky = (from: number, more: JsonObject = {}): JsonObject => ({
  one: {
    type: 'fail',
    when: `\${{ item >= ${from} }}`,
    with: { message: 'item ${{ item }}', code: 'picky' },
  },
  ...more,
});

describe('a foreach', () => {
  test('runs its steps for each item, and its output has the results in the order of the items', async () => {
    const end = await engine.run(each([5, 3, 1, 8], one('${{ item * 2 }}'), { output: RESULT }));
    expect(end).toMatchObject({ status: 'completed', outputs: { each: [10, 6, 2, 16] } });
  });

  test('of no items is done at once', async () => {
    expect((await engine.run(each([], one(1)))).outputs).toEqual({ each: [] });
  });

  test('takes a number for so many items, and an object for its entries in the order of their keys', async () => {
    const numbers = await engine.run(each(25, one('${{ item }}'), { output: RESULT }));
    expect(numbers.outputs).toEqual({ each: count(25) });
    const entries = await engine.run(each({ b: 1, a: [2], B: null }, one('${{ item }}'), { output: RESULT }));
    expect(entries.outputs).toEqual({
      each: [
        { key: 'B', value: null },
        { key: 'a', value: [2] },
        { key: 'b', value: 1 },
      ],
    });
  });

  test.each([
    ['a text', "'abc'"],
    ['null', 'null'],
    ['a negative number', '-1'],
    ['a broken number', '1.5'],
    ['a boolean', 'true'],
  ])('of %s fails with invalid_params, and is not tried again', async (_name, value) => {
    const definition = each(`\${{ ${value} }}`, one(1));
    ((definition.steps as JsonObject).each as JsonObject).retry = { limit: 3, delay: 1 };
    const end = await engine.run(definition);
    expect(stepOf(end, 'each')).toMatchObject({ attempt_count: 1, error: { code: 'invalid_params' } });
  });

  test('of too many items fails before they are put into batches', async () => {
    const end = await engine.run(each('${{ 100001 }}', one(1), { batch: 1000 }));
    expect(stepOf(end, 'each').error).toMatchObject({
      code: 'too_many_items',
      details: { items: 100_001, limit: 100_000 },
    });
  });

  test('does not evaluate its items again when it is tried again, and counts failures from none', async () => {
    await using peer = await httpPeer((_, response) => {
      response.writeHead(peer.requests.length > 1 ? 200 : 500).end();
    });
    const steps = {
      call: { type: 'http', when: '${{ index == 1 }}', with: { url: peer.origin }, retry: { limit: 0 } },
    };
    const more = { concurrency: 1, onItemFailure: 'continue', tolerate: 0, output: '${{ item }}' };
    const definition = each('${{ [1, 2, 3].map(() => Math.random()) }}', steps, more);
    ((definition.steps as JsonObject).each as JsonObject).retry = { limit: 1, delay: 1 };
    const id = await engine.start(await engine.publish(definition));
    const end = await engine.end(id);
    expect(end.status).toBe('completed');
    expect(stepOf(end, 'each').attempt_count).toBe(2);
    const { rows } = await database.pool.query(
      'select jsonb_agg(i.items order by i.first_index) as items from workflow_scope_items i where i.step_execution_id = $1',
      [stepOf(end, 'each').id],
    );
    expect((rows[0].items as Json[][]).flat()).toEqual((end.outputs as JsonObject).each as Json[]);
  });

  test('gives its runs batches of items, and by default the outputs of their last steps', async () => {
    const end = await engine.run(each(5, one('${{ item }}'), { batch: 2 }));
    expect(end.outputs).toEqual({ each: [{ one: [0, 1] }, { one: [2, 3] }, { one: [4] }] });
  });

  test('lets its steps read the input, the steps before it, their own scope and the one around', async () => {
    const inner = each(
      '${{ item.list }}',
      one('${{ [input.x, steps.before.output, item, index, steps.outer.output] }}'),
      {
        output: RESULT,
      },
    );
    const steps = {
      outer: { type: 'transform', with: { value: '${{ [item.name, index] }}' } },
      each: { ...((inner.steps as JsonObject).each as JsonObject), needs: ['outer'] },
    };
    const definition = {
      steps: {
        before: { type: 'transform', with: { value: 'b' } },
        all: {
          type: 'foreach',
          needs: ['before'],
          with: {
            items: [
              { name: 'p', list: [1, 2] },
              { name: 'q', list: [3] },
            ],
            steps,
            output: '${{ steps.each.output }}',
          },
        },
      },
    };
    const end = await engine.run(definition, { inputs: { x: 7 } });
    expect(end.outputs).toEqual({
      all: [
        [
          [7, 'b', 1, 0, ['p', 0]],
          [7, 'b', 2, 1, ['p', 0]],
        ],
        [[7, 'b', 3, 0, ['q', 1]]],
      ],
    });
  });

  test('runs no more items at a time than its concurrency, and all of them', async () => {
    const steps = { one: { type: 'delay', with: { for: 5 } } };
    const end = await engine.run(each(30, steps, { concurrency: 4, output: '${{ index }}' }));
    expect(end.outputs).toEqual({ each: count(30) });
    const { rows } = await database.pool.query(
      `select max(open) as most from (
         select sum(change) over (order by at, change) as open from (
           select created_at as at, 1 as change from workflow_scopes where workflow_execution_id = $1
           union all select completed_at, -1 from workflow_scopes where workflow_execution_id = $1) changes) t`,
      [end.execution_id],
    );
    expect(Number(rows[0].most)).toBeLessThanOrEqual(4);
  });
});

describe('a failed item', () => {
  test('fails the step with its code, says where it was, and cancels the open ones', async () => {
    const slow = { slow: { type: 'delay', when: '${{ item < 2 }}', with: { for: '1h' } } };
    const end = await engine.run(each(10, picky(2, slow), { concurrency: 3 }));
    expect(end).toMatchObject({ status: 'failed', error: { code: 'picky', step: 'each' } });
    expect(stepOf(end, 'each').error).toMatchObject({
      code: 'picky',
      message: 'item 2',
      details: { scope: 'each[2]', step: 'one', details: null },
    });
    const { rows } = await database.pool.query(
      'select index, status from workflow_scopes where workflow_execution_id = $1 order by index',
      [end.execution_id],
    );
    expect(rows.map(({ status }) => status)).toEqual(['cancelled', 'cancelled', 'failed']);
  });

  test('yields its error with continue', async () => {
    const end = await engine.run(each(4, picky(3), { onItemFailure: 'continue', output: '${{ item }}' }));
    expect(end.outputs).toEqual({
      each: [0, 1, 2, { error: { code: 'picky', message: 'item 3', details: null } }],
    });
  });

  test('more of them than are tolerated fail the step, with their number', async () => {
    const more = { onItemFailure: 'continue', tolerate: '10%', concurrency: 1, collect: 'summary' };
    const fine = await engine.run(each(20, picky(18), more));
    expect(fine.outputs).toEqual({ each: { total: 20, completed: 18, failed: 2, cancelled: 0 } });
    const end = await engine.run(each(20, picky(10), more));
    expect(end).toMatchObject({ status: 'failed', error: { code: 'too_many_failures' } });
    expect(stepOf(end, 'each').error).toMatchObject({ details: { failed: 3, total: 20, tolerated: 2 } });
  });

  test('is run anew when the step is tried again, and completed ones are kept', async () => {
    await using peer = await httpPeer((_, response) => {
      response.writeHead(peer.requests.length > 2 ? 200 : 500).end();
    });
    const steps = {
      one: { type: 'http', when: '${{ item == 3 }}', with: { url: peer.origin }, retry: { limit: 0 } },
    };
    const definition = each(6, steps, { concurrency: 1, output: '${{ [index, steps.one.status] }}' });
    ((definition.steps as JsonObject).each as JsonObject).retry = { limit: 3, delay: 1 };
    const end = await engine.run(definition);
    expect(end).toMatchObject({ status: 'completed' });
    expect(stepOf(end, 'each').attempt_count).toBe(3);
    expect(end.outputs).toEqual({
      each: count(6).map((index) => [index, index === 3 ? 'completed' : 'skipped']),
    });
    const { rows } = await database.pool.query(
      'select index, run from workflow_scopes where workflow_execution_id = $1 and run > 1 order by index',
      [end.execution_id],
    );
    expect(rows).toEqual([3, 4, 5].map((index) => ({ index, run: 3 })));
  });
});

describe('an end from above', () => {
  const waiting = each(
    20,
    {
      outer: { type: 'foreach', with: { items: 3, steps: { one: { type: 'delay', with: { for: '1h' } } } } },
    },
    { concurrency: 5 },
  );
  const opened = (id: string, open: number) =>
    database.until(
      `select count(*) = $2 from workflow_step_executions where workflow_execution_id = $1 and status = 'waiting' and scope like '%/%'`,
      [id, open],
    );
  const left = async (id: string) => {
    const { rows } = await database.pool.query(
      `select (select count(*) from workflow_scopes where workflow_execution_id = $1 and status = 'running') +
              (select count(*) from workflow_step_executions where workflow_execution_id = $1
                and status not in ('completed', 'failed', 'skipped', 'cancelled')) as left`,
      [id],
    );
    return Number(rows[0].left);
  };

  test('cancel ends all scopes below at once, at every depth', async () => {
    const id = await engine.start(await engine.publish(waiting));
    await opened(id, 15);
    await engine.client.cancel(id);
    expect(await left(id)).toBe(0);
    expect(statuses(await engine.client.status(id))).toEqual({ each: 'cancelled' });
  });

  test('stop ends at once what does not run', async () => {
    const id = await engine.start(await engine.publish(waiting));
    await opened(id, 15);
    expect(await engine.client.stop(id)).toMatchObject({ status: 'cancelled' });
    expect(await left(id)).toBe(0);
  });

  test('stop lets what runs in scopes end, and starts nothing more', async () => {
    const steps = {
      held: { type: 'deaf', with: { name: 'scopes' } },
      after: { type: 'noop', needs: ['held'] },
    };
    const id = await engine.start(await engine.publish(each(6, steps, { concurrency: 2 })));
    await database.until(
      `select count(*) = 2 from workflow_step_executions where workflow_execution_id = $1 and status = 'running'`,
      [id],
    );
    expect(await engine.client.stop(id)).toMatchObject({ status: 'running', stop_requested: true });
    await database.openGate('scopes');
    await database.until(`select status = 'cancelled' from workflow_executions where id = $1`, [id]);
    expect(await left(id)).toBe(0);
    const { rows } = await database.pool.query(
      `select count(*) as runs from workflow_step_executions where workflow_execution_id = $1 and started_at is not null
          and scope <> ''`,
      [id],
    );
    expect(Number(rows[0].runs)).toBe(2);
  });
});

describe('a list of results that is too large', () => {
  const FAILS = { code: 'output_not_storable', message: expect.stringContaining('collect: summary') };
  const large = (bytes: number) => one(`\${{ 'x'.repeat(${bytes}) }}`);
  const opened = async (id: string) =>
    (
      await database.pool.query(
        'select count(*)::integer as scopes from workflow_scopes where workflow_execution_id = $1',
        [id],
      )
    ).rows[0].scopes;

  test('fails the step as soon as it is certain, and the other items are never begun', async () => {
    const more = { concurrency: 1, output: RESULT };
    const end = await engine.run(each(50, large(300_000), more));
    expect(end).toMatchObject({ status: 'failed', error: FAILS });
    expect(await opened(end.execution_id)).toBe(4);
    expect(stepOf(end, 'each').scopes).toMatchObject({ total: 50, completed: 4, running: 0 });
  });

  test('is not tried again, and ends items that are open', async () => {
    const hold = { type: 'wait', when: '${{ item == 4 }}', with: { signal: 'never' } };
    const definition = each(5, { hold, ...large(300_000) }, { output: RESULT });
    ((definition.steps as JsonObject).each as JsonObject).retry = { limit: 3, delay: 1 };
    const end = await engine.run(definition);
    expect(end).toMatchObject({ status: 'failed', error: FAILS });
    expect(stepOf(end, 'each')).toMatchObject({ attempt_count: 1, scopes: { running: 0, cancelled: 1 } });
  });

  test('has the errors of failed items in it as well', async () => {
    const failing = { one: { type: 'fail', with: { code: 'x', details: "${{ 'x'.repeat(300000) }}" } } };
    const end = await engine.run(each(50, failing, { concurrency: 1, onItemFailure: 'continue' }));
    expect(end).toMatchObject({ status: 'failed', error: FAILS });
    expect(await opened(end.execution_id)).toBeLessThan(50);
  });

  test('is none with collect: summary', async () => {
    const end = await engine.run(each(5, large(300_000), { collect: 'summary', output: RESULT }));
    expect(end.outputs).toEqual({ each: { total: 5, completed: 5, failed: 0, cancelled: 0 } });
  });
});
