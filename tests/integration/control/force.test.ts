/**
 * Steps that are completed, failed and skipped by hand over HTTP, whatever they do.
 */
import { expect, test } from 'bun:test';
import type { JsonObject } from '../../../core/json/json.ts';
import { readActs } from '../../../db/acts/acts.ts';
import { type EngineDatabase, statuses, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

let database: EngineDatabase;
let engine: TestEngine;

fixtureForAll(
  async (own) => {
    database = await own.database();
    engine = await own.engine();
  },
  { atEnd: () => database.openGate('never') },
);

/** Starts, and waits until a step has a status. Returns the ids. */
async function reached(
  steps: JsonObject,
  [key, status]: readonly [string, string],
  scope = '',
): Promise<{ id: string; stepId: string }> {
  const id = await engine.start(await engine.publish({ steps }));
  const { id: stepId } = await database.until(
    `select true, s.id from workflow_step_executions s join workflow_step_templates t on t.id = s.step_template_id
      where s.workflow_execution_id = $1 and t.key = $2 and s.status = $3 and s.scope = $4`,
    [id, key, status, scope],
  );
  return { id, stepId: String(stepId) };
}

const call = (stepId: string, act: string, body: JsonObject) =>
  engine.request('POST', `/api/v1/steps/${stepId}/${act}`, body);
const error = { code: 'by_hand', message: 'It was wrong.' };
const never = { type: 'deaf', with: { name: 'never' } };
const after = { type: 'record', with: { value: '${{ steps.a.output }}' }, needs: ['a'] };

const STATES: readonly [string, JsonObject, readonly [string, string]][] = [
  ['a step whose handler runs', { a: never, after }, ['a', 'running']],
  ['a step that waits for a time', { a: { type: 'delay', with: { for: '2h' } }, after }, ['a', 'waiting']],
  [
    'a step that waits for a signal',
    { a: { type: 'wait', with: { signal: 'go' } }, after },
    ['a', 'waiting'],
  ],
  ['a step that waits for a form', { a: { type: 'form', with: { title: 'Yes?' } }, after }, ['a', 'waiting']],
  ['a step that waits for a worker', { a: { type: 'task', with: { queue: 'q' } }, after }, ['a', 'waiting']],
  [
    'a step that waits for its next attempt',
    { a: { type: 'flaky', with: { failures: 9 }, retry: { limit: 9, delay: '1h' } }, after },
    ['a', 'retrying'],
  ],
];

test.each(STATES)('%s is completed by hand', async (_, steps, at) => {
  const { id, stepId } = await reached(steps, at);
  expect(await call(stepId, 'complete', { force: true, output: { by: 'hand' } })).toMatchObject({
    status: 200,
    body: { id: stepId, key: 'a', status: 'completed' },
  });
  const end = await engine.end(id);
  expect(statuses(end)).toEqual({ a: 'completed', after: 'completed' });
  expect(stepOf(end, 'after').outputs).toEqual({ by: 'hand' });
  expect(stepOf(end, 'a').by_hand).toEqual({ act: 'complete', by: null, at: expect.any(String) });
  expect(await readActs(database.pool, id)).toMatchObject([
    { act: 'complete', stepId, statusAfter: 'running' },
  ]);
});

test.each(STATES)('%s is failed and skipped by hand, and is not tried again', async (_, steps, at) => {
  const failed = await reached(
    { ...steps, caught: { type: 'record', needs: [{ step: 'a', on: 'failure' }] } },
    at,
  );
  expect((await call(failed.stepId, 'fail', { force: true, error })).body).toMatchObject({
    status: 'failed',
  });
  const end = await engine.end(failed.id);
  expect(end.status).toBe('completed');
  expect(statuses(end)).toEqual({ a: 'failed', after: 'skipped', caught: 'completed' });
  expect(stepOf(end, 'a').error).toMatchObject(error);
  const skipped = await reached(steps, at);
  expect((await call(skipped.stepId, 'skip', { force: true })).body).toMatchObject({ status: 'skipped' });
  expect(statuses(await engine.end(skipped.id))).toEqual({ a: 'skipped', after: 'skipped' });
});

test('a step that waits for inputs counts as if its join had fired', async () => {
  const { id, stepId } = await reached(
    {
      a: { type: 'record' },
      slow: { type: 'gate', with: { name: 'slow' } },
      both: { type: 'record', needs: ['a', 'slow'] },
      after: { type: 'record', needs: ['both'] },
    },
    ['both', 'waiting_inputs'],
  );
  expect((await call(stepId, 'complete', { force: true, output: 1 })).status).toBe(200);
  await database.openGate('slow');
  const end = await engine.end(id);
  expect(end.status).toBe('completed');
  expect(stepOf(end, 'both')).toMatchObject({ status: 'completed', outputs: 1, attempt_count: 0 });
  expect(stepOf(end, 'both').received_inputs).toHaveLength(2);
});

test('what a holder holds is cancelled, and a step in a scope ends by hand too', async () => {
  const wait = { type: 'wait', with: { signal: 'never' } };
  const each = {
    type: 'foreach',
    with: { items: 3, steps: { inner: wait }, output: '${{ steps.inner.output }}' },
  };
  const inScope = await reached({ each }, ['each/inner', 'waiting'], 'each[1]');
  expect((await call(inScope.stepId, 'complete', { force: true, output: 7 })).status).toBe(200);
  const { stepId } = await reached({ each }, ['each', 'waiting']);
  const { execution_id: other } = (await engine.request('GET', `/api/v1/steps/${stepId}`)).body as {
    execution_id: string;
  };
  expect((await call(stepId, 'complete', { force: true, output: [] })).status).toBe(200);
  expect((await engine.end(other)).outputs).toEqual({ each: [] });
  const scopes = await engine.client.listScopes({ execution_id: other, step: 'each' });
  expect(scopes.data.map(({ status }) => status)).toEqual(['cancelled', 'cancelled', 'cancelled']);
  const holder = (await engine.client.status(inScope.id)).steps[0]!;
  expect((await call(holder.id, 'skip', { force: true, dry_run: true })).body).toMatchObject({
    skips: ['each'],
  });
  expect(holder.scopes).toMatchObject({ completed: 1, running: 2 });
  expect((await readActs(database.pool, inScope.id))[0]).toMatchObject({ scope: 'each[1]', act: 'complete' });
  expect((await call(holder.id, 'skip', { force: true })).body).toMatchObject({ status: 'skipped' });
  expect((await engine.end(inScope.id)).status).toBe('completed');
});

test('without force it is refused while the step goes on, and in any case when it is over', async () => {
  const { id, stepId } = await reached({ a: { type: 'delay', with: { for: '2h' } }, after }, [
    'a',
    'waiting',
  ]);
  const bodies = { complete: { output: 1 }, fail: { error }, skip: {} };
  for (const [act, body] of Object.entries(bodies)) {
    expect(await call(stepId, act, body)).toMatchObject({ status: 409, body: { code: 'force_required' } });
    expect(await call(stepId, act, { ...body, dry_run: true })).toMatchObject({ status: 422 });
  }
  expect((await call(stepId, 'complete', { force: true, output: 1, dry_run: true })).body).toEqual({
    dry_run: true,
    resets: [],
    starts: ['after'],
    cancels: [],
    skips: [],
    warnings: [],
  });
  expect(statuses(await engine.client.status(id))).toEqual({ a: 'waiting' });
  expect((await call(stepId, 'complete', { force: true, output: 1 })).status).toBe(200);
  await engine.end(id);
  for (const [act, body] of Object.entries(bodies))
    expect(await call(stepId, act, { ...body, force: true })).toMatchObject({
      status: 409,
      body: { code: 'wrong_state' },
    });
  const unknown = '0197a3c4-5b6d-7e8f-9012-3456789abcde';
  expect(await call(unknown, 'skip', { force: true })).toMatchObject({ status: 404 });
});
