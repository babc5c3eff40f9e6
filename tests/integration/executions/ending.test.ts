/**
 * Stop and cancel: who may still finish, what is refused, and what never starts.
 */
import { expect, test } from 'bun:test';
import type { JsonObject } from '../../../core/json/json.ts';
import { type EngineDatabase, statuses, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { assertInvariants } from '../../support/invariants.ts';

let database: EngineDatabase;
let engine: TestEngine;

fixtureForAll(async (fixture) => {
  database = await fixture.database();
  engine = await fixture.engine({ config: { EXECUTION_ENGINE_STOP_GRACE: '2m' } });
});

/** Starts a definition and waits until `count` handlers run. */
async function running(definition: JsonObject, count = 1): Promise<string> {
  const id = await engine.start(await engine.publish(definition));
  await database.until('select count(*) = $2 from test_runs where execution_id = $1', [id, count]);
  return id;
}

const noted = (id: string, note: string) =>
  database.until('select true from test_runs where execution_id = $1 and note = $2', [id, note]);

const FOLLOWED: JsonObject = {
  next: { type: 'record', needs: ['busy'] },
  failure: { type: 'record', needs: [{ step: 'busy', on: 'failure' }] },
  always: { type: 'record', needs: [{ step: 'busy', on: 'always' }] },
};

test('a stopped execution records what its handlers give back within the grace time, and starts nothing more', async () => {
  const id = await running({
    steps: { busy: { type: 'until-aborted', with: { answer: 'in time' } }, ...FOLLOWED },
  });
  const answer = await engine.client.stop(id, 'enough');
  expect(answer).toMatchObject({ execution_id: id, stop_requested: true });
  const end = await engine.end(id);
  expect(end).toMatchObject({
    status: 'cancelled',
    stop_requested: true,
    outputs: null,
    error: { code: 'cancelled', message: 'enough' },
  });
  expect(statuses(end)).toEqual({
    busy: 'completed',
    next: 'cancelled',
    failure: 'cancelled',
    always: 'cancelled',
  });
  expect(stepOf(end, 'busy').outputs).toBe('in time');
  expect((await database.runs(id)).map(({ step, note }) => [step, note])).toEqual([
    ['busy', null],
    ['busy', 'stopped'],
  ]);
});

test('a handler that fails when it is stopped is recorded as failed, is not retried and its failure edge stays cold', async () => {
  const id = await running({
    steps: { busy: { type: 'until-aborted', retry: { limit: 5, delay: '1ms' } }, ...FOLLOWED },
  });
  await engine.client.stop(id);
  const end = await engine.end(id);
  expect(end.status).toBe('cancelled');
  expect(statuses(end)).toEqual({
    busy: 'failed',
    next: 'cancelled',
    failure: 'cancelled',
    always: 'cancelled',
  });
  expect(stepOf(end, 'busy')).toMatchObject({ attempt_count: 1, error: { code: 'stopped' } });
});

test('while it is being stopped an execution shows its status and stop_requested', async () => {
  const id = await running({ steps: { busy: { type: 'deaf', with: { name: 'stopping' } }, ...FOLLOWED } });
  expect(await engine.client.stop(id)).toEqual({ execution_id: id, status: 'running', stop_requested: true });
  const during = await engine.client.status(id);
  expect(during).toMatchObject({ status: 'running', stop_requested: true });
  expect(statuses(during)).toEqual({
    busy: 'running',
    next: 'cancelled',
    failure: 'cancelled',
    always: 'cancelled',
  });
  await assertInvariants(database.url, { allFinal: false });
  await database.openGate('stopping');
  const end = await engine.end(id);
  expect(statuses(end).busy).toBe('completed');
});

test('a handler that is not done after the grace time is given up, and its late result is refused and counted', async () => {
  const stale = await engine.metric('execution_engine_stale_completions_total');
  const id = await running({ steps: { busy: { type: 'deaf', with: { name: 'overdue' } }, ...FOLLOWED } });
  await engine.client.stop(id);
  // Its grace time is over now.
  await database.pool.query(
    `update pgboss.job set start_after = now() where data ->> 'kind' = 'stop_overdue' and data ->> 'execution_id' = $1`,
    [id],
  );
  const end = await engine.end(id);
  expect(end.status).toBe('cancelled');
  expect(statuses(end).busy).toBe('cancelled');
  await database.openGate('overdue');
  await noted(id, 'aborted');
  const after = await engine.end(id);
  expect(after).toEqual(end);
  await engine.metricReaches('execution_engine_stale_completions_total', stale + 1);
});

test('steps that are parked, retrying or not started are cancelled at once by a stop', async () => {
  const id = await running({
    steps: {
      parked: { type: 'delay', with: { for: '1h' } },
      retrying: { type: 'flaky', with: { failures: 9 }, retry: { limit: 9, delay: '1h' } },
      joined: { type: 'record', needs: ['parked', 'retrying'] },
    },
  });
  await database.until(
    `select count(*) = 2 from workflow_step_executions where workflow_execution_id = $1 and status in ('waiting', 'retrying')`,
    [id],
  );
  expect(await engine.client.stop(id)).toMatchObject({ status: 'cancelled', stop_requested: true });
  expect(new Set(Object.values(statuses(await engine.end(id))))).toEqual(new Set(['cancelled']));
});

test('a cancelled execution is final in the answer, and the late result of its handler is refused and counted', async () => {
  const stale = await engine.metric('execution_engine_stale_completions_total');
  const id = await running({ steps: { busy: { type: 'deaf', with: { name: 'cancelled' } }, ...FOLLOWED } });
  const answer = await engine.client.cancel(id, 'not wanted');
  expect(answer).toMatchObject({ execution_id: id, status: 'cancelled' });
  const end = await engine.client.status(id, { includeOutputs: true });
  expect(end.error).toMatchObject({ code: 'cancelled', message: 'not wanted' });
  expect(new Set(Object.values(statuses(end)))).toEqual(new Set(['cancelled']));
  await assertInvariants(database.url);
  await database.openGate('cancelled');
  await noted(id, 'aborted');
  expect(await engine.client.status(id, { includeOutputs: true })).toEqual(end);
  expect((await database.runs(id)).map(({ step }) => step)).toEqual(['busy', 'busy']);
  await engine.metricReaches('execution_engine_stale_completions_total', stale + 1);
});

test('stop and cancel of a final execution answer 200 and change nothing', async () => {
  const end = await engine.run({ steps: { a: { type: 'record' } } });
  const id = end.execution_id;
  expect(await engine.client.stop(id)).toEqual({
    execution_id: id,
    status: 'completed',
    stop_requested: false,
  });
  expect(await engine.client.cancel(id)).toEqual({
    execution_id: id,
    status: 'completed',
    stop_requested: false,
  });
  expect(await engine.end(id)).toEqual(end);
});

test('a second stop changes nothing, and a cancel ends what is being stopped at once', async () => {
  const id = await running({ steps: { busy: { type: 'deaf', with: { name: 'twice' } } } });
  await engine.client.stop(id, 'first');
  await engine.client.stop(id, 'second');
  expect(await engine.client.cancel(id, 'third')).toMatchObject({ status: 'cancelled' });
  expect(statuses(await engine.end(id))).toEqual({ busy: 'cancelled' });
  await database.openGate('twice');
  await noted(id, 'aborted');
});

test('an execution that was not begun is cancelled with a row for each step and no job left', async () => {
  const template = await engine.publish({
    steps: { a: { type: 'record' }, b: { type: 'record', needs: ['a'] } },
  });
  const stopped = await engine.start(template, { start_after: '1h' });
  const cancelled = await engine.start(template, { start_after: '1h' });
  expect(await engine.client.status(stopped)).toMatchObject({ status: 'pending', started_at: null });
  await assertInvariants(database.url, { allFinal: false });
  expect(await engine.client.stop(stopped)).toMatchObject({ status: 'cancelled' });
  expect(await engine.client.cancel(cancelled)).toMatchObject({ status: 'cancelled' });
  for (const id of [stopped, cancelled])
    expect(statuses(await engine.end(id))).toEqual({ a: 'cancelled', b: 'cancelled' });
});

test('50 cancels at once end an execution once', async () => {
  const id = await running({ steps: { busy: { type: 'gate', with: { name: 'never' } } } });
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, at) => engine.client.cancel(id, `reason ${at}`)),
  );
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set(['cancelled']));
});

test('stop, cancel and status of an execution that is not there answer 404', async () => {
  const nobody = '00000000-0000-7000-8000-000000000000';
  const calls = [
    engine.request('POST', '/api/v1/execution/stop', { execution_id: nobody }),
    engine.request('POST', `/admin/executions/${nobody}/cancel`),
    engine.request('GET', `/api/v1/execution/status?execution_id=${nobody}`),
  ];
  for (const { status, body } of await Promise.all(calls)) {
    expect({ status, code: body.code }).toEqual({ status: 404, code: 'execution_not_found' });
  }
});

test.each([
  ['cancelled', 'a cancel', {}],
  ['cancelled', 'a stop', {}],
  ['timed_out', 'the timeout of the execution', { timeout: 100 }],
])(
  'an execution whose output never ends is %s by %s, which does not wait for it',
  async (status, by, more) => {
    const endless = '${{ (() => { for (;;); })() }}';
    const id = await running({ steps: { only: { type: 'record' } }, output: endless, ...more });
    if (by === 'a cancel') await engine.client.cancel(id, 'enough');
    if (by === 'a stop') await engine.client.stop(id, 'enough');
    expect(await engine.end(id)).toMatchObject({ status, outputs: null });
    await assertInvariants(database.url);
  },
);
