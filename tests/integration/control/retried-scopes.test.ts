/**
 * Retries of what is in scopes and in children, over HTTP.
 */
import { expect, test } from 'bun:test';
import type { JsonObject } from '../../../core/json/json.ts';
import type { ExecutionStatusBody } from '../../../services/execution-answers.ts';
import { type EngineDatabase, statuses, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { assertInvariants } from '../../support/invariants.ts';

let database: EngineDatabase;
let engine: TestEngine;

fixtureForAll(async (own) => {
  database = await own.database();
  engine = await own.engine();
});

const call = (id: string, more: JsonObject = {}) =>
  engine.request('POST', '/api/v1/execution/retry', { execution_id: id, ...more });

async function retried(id: string, more: JsonObject = {}): Promise<ExecutionStatusBody> {
  const { status, body } = await call(id, more);
  expect(body).toEqual({ execution_id: id, status: expect.any(String) });
  expect(status).toBe(200);
  const end = await engine.end(id);
  await assertInvariants(database.url);
  return end;
}

/** How often each step ran, by its key. */
async function runs(id: string): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { step } of await database.runs(id)) counts[step] = (counts[step] ?? 0) + 1;
  return counts;
}

const item = (more: JsonObject = {}): JsonObject => ({
  type: 'foreach',
  with: {
    items: 3,
    steps: {
      first: { type: 'record', with: { value: '${{ index }}' } },
      // Fails its first attempt in the item 1.
      second: {
        type: 'flaky',
        needs: ['first'],
        with: { failures: '${{ index === 1 ? 1 : 0 }}' },
      },
      third: { type: 'record', needs: ['second'], with: { value: '${{ steps.second.output.attempt }}' } },
    },
    output: '${{ steps.third.output }}',
    ...more,
  },
});

test('from a step in an item the item goes on as it was, and what comes after its holder runs again', async () => {
  const first = await engine.run({
    steps: {
      each: item({ onItemFailure: 'continue' }),
      after: { type: 'record', needs: ['each'], with: { value: '${{ steps.each.output }}' } },
    },
  });
  const { execution_id: id } = first;
  expect(first.status).toBe('completed');
  expect(stepOf(first, 'each').scopes).toMatchObject({ completed: 2, failed: 1 });
  expect((await call(id, { from: 'each[1]/second', dry_run: true })).body).toMatchObject({
    resets: ['each', 'after', 'each[1]/second', 'each[1]/third'],
    starts: ['each[1]/second'],
  });
  const end = await retried(id, { from: 'each[1]/second' });
  expect(end.status).toBe('completed');
  expect(stepOf(end, 'each').scopes).toMatchObject({ completed: 3, failed: 0 });
  expect(stepOf(end, 'each').outputs).toEqual([1, 2, 1]);
  expect(stepOf(end, 'after').outputs).toEqual([1, 2, 1]);
  expect(await runs(id)).toEqual({ first: 3, second: 4, third: 3, after: 2 });
});

test('without a step an item that failed begins anew, and items that completed are kept', async () => {
  const first = await engine.run({
    steps: {
      each: item({
        concurrency: 1,
        steps: {
          only: { type: 'flaky', with: { failures: '${{ index === 1 ? 9 : 0 }}' } },
        },
        output: 1,
      }),
    },
  });
  expect(first.status).toBe('failed');
  const again = await retried(first.execution_id);
  expect(again.status).toBe('failed');
  expect((await runs(first.execution_id)).only).toBe(3);
  const end = await retried(first.execution_id, { outputs: { 'each[1]/only': 'by hand' } });
  expect(end.status).toBe('completed');
  expect((await runs(first.execution_id)).only).toBe(4);
  expect(stepOf(end, 'each').scopes).toMatchObject({ completed: 3 });
});

test('from the step itself its items are evaluated anew', async () => {
  const first = await engine.run({ steps: { each: item({ onItemFailure: 'continue' }) } });
  const end = await retried(first.execution_id, { from: 'each' });
  expect(end.status).toBe('completed');
  expect(await runs(first.execution_id)).toMatchObject({ first: 6, second: 6 });
  expect(stepOf(end, 'each').attempt_count).toBe(2);
});

test('in scopes inside each other, and in iterations of a loop', async () => {
  const first = await engine.run({
    steps: {
      outer: {
        type: 'foreach',
        with: {
          items: 2,
          onItemFailure: 'continue',
          steps: { inner: item({ onItemFailure: 'continue' }), next: { type: 'record', needs: ['inner'] } },
          output: '${{ steps.inner.output }}',
        },
      },
      loop: {
        type: 'loop',
        with: {
          while: '${{ iteration < 2 }}',
          steps: { x: { type: 'record', with: { value: '${{ iteration }}' } } },
        },
      },
    },
  });
  const { execution_id: id } = first;
  const end = await retried(id, { from: 'outer[1]/inner[1]/second' });
  expect(end.status).toBe('completed');
  expect(stepOf(end, 'outer').outputs).toMatchObject([
    [1, { error: {} }, 1],
    [1, 2, 1],
  ]);
  expect(await runs(id)).toMatchObject({ second: 7, next: 3, x: 2 });
  const looped = await retried(id, { only: 'loop[0]/x' });
  expect(looped.status).toBe('completed');
  expect(await runs(id)).toMatchObject({ second: 7, x: 3 });
});

test('without a step a child that failed is retried in place; from its step a new one begins', async () => {
  const inner = await engine.publish({
    steps: { a: { type: 'record' }, b: { type: 'flaky', needs: ['a'], with: { failures: 1 } } },
  });
  const definition = {
    steps: {
      call: { type: 'workflow', with: { name: inner } },
      after: { type: 'record', needs: ['call'], with: { value: '${{ steps.call.output }}' } },
    },
  };
  const first = await engine.run(definition);
  expect(first.error).toMatchObject({ code: 'child_failed' });
  const [child] = stepOf(first, 'call').children!;
  expect(await call(child!.execution_id)).toMatchObject({
    status: 409,
    body: { code: 'parent_step_final', detail: expect.stringContaining(first.execution_id) },
  });
  const end = await retried(first.execution_id);
  expect(end.status).toBe('completed');
  expect(stepOf(end, 'call')).toMatchObject({
    attempt_count: 1,
    children: [{ execution_id: child!.execution_id, status: 'completed' }],
  });
  expect(await runs(child!.execution_id)).toEqual({ a: 1, b: 2 });
  const anew = await retried(first.execution_id, { from: 'call' });
  expect(anew.status).toBe('failed');
  expect(stepOf(anew, 'call').children).toHaveLength(2);
  expect(statuses(anew)).toEqual({ call: 'failed', after: 'cancelled' });
});

test('what was compensated runs again, and what nobody knows to be undone is refused', async () => {
  const undo = (more: JsonObject) => ({ type: 'keyed', compensateWith: { type: 'flaky', ...more } });
  const first = await engine.run({
    steps: {
      paid: undo({ with: { failures: 0 } }),
      ship: { type: 'flaky', needs: ['paid'], with: { failures: 1 } },
    },
  });
  expect(statuses(first)).toEqual({ paid: 'completed', ship: 'failed' });
  const end = await retried(first.execution_id);
  expect(end.status).toBe('completed');
  const keys = (await database.runs(first.execution_id)).filter(({ step }) => step === 'paid');
  expect(new Set(keys.map(({ note }) => note)).size).toBe(2);
  expect(stepOf(end, 'paid').compensation).toBeNull();
  const half = await engine.run({
    steps: {
      paid: undo({ with: { failures: 9 } }),
      ship: { type: 'flaky', needs: ['paid'], with: { failures: 1 } },
    },
  });
  expect(await call(half.execution_id)).toMatchObject({ status: 409, body: { code: 'not_compensated' } });
  expect((await retried(half.execution_id, { outputs: { paid: 1 } })).status).toBe('completed');
});
