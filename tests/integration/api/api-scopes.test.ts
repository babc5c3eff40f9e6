/**
 * Scopes over HTTP: their numbers on the step that holds them, their lists, and the steps of one.
 */
import { expect, test } from 'bun:test';
import { EngineProblem } from '../../../client/engine-client.ts';
import { type EngineDatabase, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

let database: EngineDatabase;
let engine: TestEngine;
let id: string;

const inner = {
  type: 'foreach',
  with: { items: 2, steps: { one: { type: 'noop', with: {} }, two: { type: 'noop', needs: ['one'] } } },
};
const definition = {
  steps: {
    each: {
      type: 'foreach',
      with: {
        items: 12,
        concurrency: 2,
        onItemFailure: 'continue',
        steps: {
          bad: { type: 'fail', when: '${{ item == 1 }}', with: { message: 'item ${{ item }}' } },
          inner: { ...inner, needs: ['bad'], join: 'all', when: true },
          after: { type: 'deaf', when: '${{ item >= 4 }}', with: { name: 'scopes' } },
        },
      },
    },
  },
};

fixtureForAll(
  async (fixture) => {
    database = await fixture.database();
    engine = await fixture.engine();
    id = await engine.start(await engine.publish(definition));
    await database.until(
      `select open_count = 2 and next_index = 6 from workflow_held_scopes h join workflow_step_executions s
         on s.id = h.step_execution_id where s.workflow_execution_id = $1 and s.scope = ''`,
      [id],
    );
  },
  {
    atEnd: async () => {
      await database.openGate('scopes');
      await engine.end(id);
    },
  },
);

const problemOf = (call: Promise<unknown>) =>
  call.then(
    () => null,
    (error) => (error instanceof EngineProblem ? [error.status, error.code] : error),
  );

test('a step that holds scopes has their numbers, which add up, and says how many it waits for', async () => {
  const status = await engine.client.status(id);
  const step = stepOf(status, 'each');
  expect(step.scopes).toEqual({ total: 12, completed: 3, failed: 1, running: 2, waiting: 6, cancelled: 0 });
  expect(step.waiting_for).toEqual({ kind: 'scopes', open: 2 });
  expect(status.progress).toMatchObject({ total: 1, waiting: 1 });
});

test('the steps of a scope are read by its path, at every depth', async () => {
  const outer = await engine.client.status(id, { scope: 'each[0]', includeOutputs: true });
  expect(outer.steps.map(({ key, scope, status, depth }) => [key, scope, status, depth])).toEqual([
    ['bad', 'each[0]', 'skipped', 0],
    ['inner', 'each[0]', 'skipped', 1],
    ['after', 'each[0]', 'skipped', 0],
  ]);
  expect(outer.progress.total).toBe(1);
  const open = await engine.client.status(id, { scope: 'each[4]' });
  expect(open.steps.map(({ key, status }) => [key, status])).toEqual([
    ['bad', 'skipped'],
    ['inner', 'skipped'],
    ['after', 'running'],
  ]);
});

test('scopes are listed by index, in pages and by status', async () => {
  const first = await engine.client.listScopes({ execution_id: id, step: 'each', limit: 4 });
  expect(first.data.map(({ scope, index, status }) => [scope, index, status])).toEqual([
    ['each[0]', 0, 'completed'],
    ['each[1]', 1, 'failed'],
    ['each[2]', 2, 'completed'],
    ['each[3]', 3, 'completed'],
  ]);
  expect(first.data[1]!.error).toEqual({ code: 'failed', message: 'item 1', step: 'bad' });
  const rest = await engine.client.listScopes({ execution_id: id, step: 'each', cursor: first.next_cursor! });
  expect(rest.data.map(({ index, status, completed_at }) => [index, status, completed_at])).toEqual([
    [4, 'running', null],
    [5, 'running', null],
  ]);
  expect(rest.next_cursor).toBeNull();
  const failed = await engine.client.listScopes({ execution_id: id, step: 'each', status: 'failed' });
  expect(failed.data.map(({ index }) => index)).toEqual([1]);
});

test('what is not there is answered 404, and a wrong query 422', async () => {
  const missing = [404, 'scope_not_found'];
  for (const scope of ['each[6]', 'each[99]', 'each', 'other[0]', 'each[0]/inner[0]', "x'y"])
    expect(await problemOf(engine.client.status(id, { scope }))).toEqual(missing);
  for (const step of ['other', 'each[0]', 'each[6]/inner', 'each/inner'])
    expect(await problemOf(engine.client.listScopes({ execution_id: id, step }))).toEqual(missing);
  const wrong = { execution_id: id, step: 'each', cursor: 'x' };
  expect(await problemOf(engine.client.listScopes(wrong))).toEqual([422, 'validation_failed']);
  const nobody = { execution_id: '00000000-0000-7000-8000-000000000000', step: 'each' };
  expect(await problemOf(engine.client.listScopes(nobody))).toEqual([404, 'execution_not_found']);
});
