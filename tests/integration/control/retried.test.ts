/**
 * Retries over HTTP: what is reset, what is kept, and what is refused.
 */
import { expect, test } from 'bun:test';
import type { JsonObject } from '../../../core/json/json.ts';
import { readActs } from '../../../db/acts/acts.ts';
import type { ExecutionStatusBody } from '../../../services/execution-answers.ts';
import { type EngineDatabase, statuses, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { assertInvariants } from '../../support/invariants.ts';

/** Where the URLs of hooks lead: tests send to the engine itself. */
const BASE = 'https://hooks.example';

let database: EngineDatabase;
let engine: TestEngine;

fixtureForAll(async (own) => {
  database = await own.database();
  engine = await own.engine({ config: { EXECUTION_ENGINE_PUBLIC_URL: BASE } });
});

const call = (id: string, more: JsonObject = {}) =>
  engine.request('POST', '/api/v1/execution/retry', { execution_id: id, ...more });

/** Retries, and returns the end. */
async function retried(id: string, more: JsonObject = {}): Promise<ExecutionStatusBody> {
  const { status, body } = await call(id, more);
  expect(body).toEqual({ execution_id: id, status: expect.any(String) });
  expect(status).toBe(200);
  const end = await engine.end(id);
  await assertInvariants(database.url);
  return end;
}

const ids = ({ steps }: ExecutionStatusBody) => steps.map(({ id }) => id).sort();
const attempts = ({ steps }: ExecutionStatusBody) =>
  Object.fromEntries(steps.map(({ key, attempt_count }) => [key, attempt_count]));
const keyed = (more: JsonObject = {}): JsonObject => ({ type: 'keyed', ...more });
const fails = (failures: number): JsonObject => ({ with: { failures } });

/** The keys that the runs of a step got, in their order. */
async function keysOf(id: string, step: string): Promise<string[]> {
  return (await database.runs(id)).filter((run) => run.step === step).map(({ note }) => note!);
}

test('without a step it runs again what failed and what was cancelled, in the same rows, and keeps what completed', async () => {
  const first = await engine.run({
    steps: {
      a: keyed(),
      b: keyed({ needs: ['a'], ...fails(1) }),
      c: keyed({ needs: ['b'] }),
      never: keyed({ needs: [{ step: 'c', on: 'failure' }] }),
    },
  });
  expect(statuses(first)).toEqual({ a: 'completed', b: 'failed', c: 'cancelled', never: 'cancelled' });
  const end = await retried(first.execution_id);
  expect(end).toMatchObject({ status: 'completed', error: null, started_at: first.started_at });
  expect(statuses(end)).toEqual({ a: 'completed', b: 'completed', c: 'completed', never: 'skipped' });
  expect(ids(end)).toEqual(ids(first));
  expect(attempts(end)).toEqual({ a: 1, b: 2, c: 1, never: 0 });
  const [before, after] = await keysOf(first.execution_id, 'b');
  expect(after).toBe(before!);
  expect(await readActs(database.pool, first.execution_id)).toMatchObject([
    { act: 'retry', statusAfter: 'running', by: null, detail: null },
  ]);
});

test('from a step it runs that step and all downstream again, with new keys for what had completed', async () => {
  const first = await engine.run({
    steps: {
      a: keyed(),
      b: keyed({ needs: ['a'] }),
      c: { type: 'record', needs: ['b'], with: { value: '${{ steps.b.output }}' } },
      beside: keyed({ needs: ['a'] }),
    },
  });
  expect(first.status).toBe('completed');
  const end = await retried(first.execution_id, { from: 'b' });
  expect(attempts(end)).toEqual({ a: 1, b: 2, c: 2, beside: 1 });
  expect(end.outputs).toEqual(first.outputs);
  const keys = await keysOf(first.execution_id, 'b');
  expect(new Set(keys).size).toBe(2);
});

test('only a step runs it, and what is downstream and has not completed', async () => {
  const first = await engine.run({
    onFailure: 'continue',
    steps: {
      a: { type: 'record', with: { value: 1 } },
      done: { type: 'record', needs: ['a'] },
      broken: keyed({ needs: ['a'], ...fails(1) }),
      last: { type: 'record', needs: ['broken'] },
    },
  });
  expect(statuses(first)).toEqual({ a: 'completed', done: 'completed', broken: 'failed', last: 'skipped' });
  const end = await retried(first.execution_id, { only: 'a' });
  expect(end.status).toBe('completed');
  expect(attempts(end)).toEqual({ a: 2, done: 1, broken: 2, last: 1 });
});

test('outputs complete and skip skips failed and cancelled steps', async () => {
  const first = await engine.run({
    steps: {
      broken: { type: 'fail', with: { code: 'no', message: 'no' } },
      choose: {
        type: 'switch',
        needs: ['broken'],
        with: { cases: [{ route: 'left', when: '${{ false }}' }], default: 'right' },
      },
      left: {
        type: 'record',
        needs: [{ step: 'choose', route: 'left' }],
        with: { value: '${{ steps.broken.output }}' },
      },
      right: { type: 'record', needs: [{ step: 'choose', route: 'right' }] },
      unwanted: { type: 'record', needs: ['broken'] },
      after: { type: 'record', needs: [{ step: 'unwanted', on: 'always' }] },
    },
  });
  expect(first.status).toBe('failed');
  const end = await retried(first.execution_id, {
    outputs: { broken: { by: 'hand' }, choose: { routes: ['left'] } },
    skip: ['unwanted'],
  });
  expect(end.status).toBe('completed');
  expect(statuses(end)).toEqual({
    broken: 'completed',
    choose: 'completed',
    left: 'completed',
    right: 'skipped',
    unwanted: 'skipped',
    after: 'skipped',
  });
  expect(stepOf(end, 'broken').by_hand).toEqual({ act: 'retry', by: null, at: expect.any(String) });
  expect(stepOf(end, 'left').outputs).toEqual({ by: 'hand' });
  const runs = await database.runs(first.execution_id);
  expect(runs.map(({ step }) => step)).toEqual(['left']);
});

test('a step that was skipped only through a failure is decided anew', async () => {
  const first = await engine.run({
    onFailure: 'continue',
    steps: {
      broken: keyed(fails(1)),
      reached: { type: 'record', needs: ['broken'] },
      guarded: { type: 'record', when: '${{ false }}' },
      after: { type: 'record', needs: ['guarded'] },
    },
  });
  expect(statuses(first)).toMatchObject({ reached: 'skipped', guarded: 'skipped', after: 'skipped' });
  const end = await retried(first.execution_id);
  expect(statuses(end)).toEqual({
    broken: 'completed',
    reached: 'completed',
    guarded: 'skipped',
    after: 'skipped',
  });
});

test('an execution that was stopped or cancelled goes on where it was', async () => {
  const template = await engine.publish({
    timeout: '1h',
    steps: {
      a: keyed(),
      wait: { type: 'delay', needs: ['a'], with: { for: '2h' } },
      b: keyed({ needs: ['wait'] }),
    },
  });
  for (const path of ['/api/v1/execution/stop', '/admin/executions/:id/cancel']) {
    const id = await engine.start(template);
    const waits = `select true from workflow_step_executions where workflow_execution_id = $1 and status = 'waiting'`;
    await database.until(waits, [id]);
    await engine.request('POST', path.replace(':id', id), path.includes(':id') ? {} : { execution_id: id });
    expect((await engine.end(id)).status).toBe('cancelled');
    expect((await call(id)).body).toMatchObject({ status: 'running' });
    await database.until(waits, [id]);
    const status = await engine.client.status(id);
    expect(status).toMatchObject({ status: 'running', stop_requested: false, error: null });
    expect(attempts(status)).toMatchObject({ a: 1, wait: 2 });
    expect((await retried(id, { from: 'a' }).catch((error) => error)).message).toContain('wrong_state');
    await engine.request('POST', `/admin/executions/${id}/cancel`, {});
  }
});

test('the timeout counts from the retry, and the status shows when that was', async () => {
  const template = await engine.publish({
    timeout: '1h',
    steps: { wait: { type: 'delay', with: { for: '2h' } } },
  });
  const id = await engine.start(template);
  const waits = `select true from workflow_step_executions where workflow_execution_id = $1 and status = 'waiting'`;
  const deadline = `select start_after > now() + interval '59 minutes' from pgboss.job
                     where data ->> 'kind' = 'deadline' and data ->> 'execution_id' = $1`;
  await database.until(waits, [id]);
  const timesOut = `update pgboss.job set start_after = now() where data ->> 'kind' = 'deadline' and data ->> 'execution_id' = $1`;
  await database.pool.query(timesOut, [id]);
  expect((await engine.end(id)).status).toBe('timed_out');
  expect((await call(id)).status).toBe(200);
  await database.until(deadline, [id]);
  const { resumed_at: resumedAt } = await engine.client.status(id);
  expect(new Date(resumedAt!).toISOString()).toBe(resumedAt!);
  await engine.request('POST', `/admin/executions/${id}/cancel`, {});
});

test('a dry run tells what would be done, and changes nothing', async () => {
  const first = await engine.run({
    steps: {
      a: keyed(),
      b: keyed({ needs: ['a'], ...fails(9) }),
      c: keyed({ needs: ['b'] }),
      d: keyed({ needs: ['c'] }),
    },
  });
  const dry = (more: JsonObject = {}) => call(first.execution_id, { dry_run: true, ...more });
  expect(await dry()).toEqual({
    status: 200,
    body: { dry_run: true, resets: ['b', 'c', 'd'], starts: ['b'], cancels: [], skips: [], warnings: [] },
  });
  expect((await dry({ skip: ['b'] })).body).toMatchObject({
    resets: ['c', 'd'],
    starts: [],
    skips: ['b', 'c', 'd'],
  });
  expect((await engine.client.status(first.execution_id, { includeOutputs: true })).steps).toEqual(
    first.steps,
  );
});

test('what it cannot do is refused, with a reason, and changes nothing', async () => {
  const failed = await engine.run({
    onFailure: 'stop',
    steps: {
      a: { type: 'record' },
      b: { type: 'fail', needs: ['a'], with: { message: 'no' } },
      wait: { type: 'delay', with: { for: '2h' } },
      c: { type: 'record', needs: ['a', 'wait'] },
      choose: { type: 'switch', needs: ['b'], with: { cases: [{ route: 'left', when: '${{ true }}' }] } },
    },
  });
  const completed = await engine.run({ steps: { a: { type: 'record' } } });
  const running = await engine.start(
    await engine.publish({ steps: { wait: { type: 'delay', with: { for: '2h' } } } }),
  );
  const { execution_id: id } = failed;
  const refusals: [string, JsonObject, number, string, RegExp][] = [
    [completed.execution_id, {}, 409, 'wrong_state', /has completed: name a step/],
    [running, {}, 409, 'wrong_state', /is (running|pending)/],
    [id, { from: 'a' }, 409, 'join_would_starve', /step c would wait for ever for wait \(cancelled\)/],
    [id, { outputs: { a: 1 } }, 409, 'wrong_state', /a is completed/],
    [id, { skip: ['a'] }, 409, 'wrong_state', /a is completed/],
    [
      id,
      { outputs: { choose: { routes: ['right'] } } },
      422,
      'validation_failed',
      /no route "right"; it has left/,
    ],
    [id, { outputs: { choose: 1 } }, 422, 'validation_failed', /give \{ "routes"/],
    [id, { from: 'x' }, 422, 'validation_failed', /no step x/],
    [id, { from: 'a[0]/b' }, 404, 'scope_not_found', /no scope a\[0\]/],
    [id, { from: 'a b' }, 422, 'validation_failed', /no path of a step/],
    [id, { from: 'a', only: 'a' }, 422, 'validation_failed', /./],
    [id, { skip: ['b'], outputs: { b: 1 } }, 422, 'validation_failed', /named twice/],
    [id, { more: 1 }, 422, 'validation_failed', /./],
    ['0197a3c4-5b6d-7e8f-9012-3456789abcde', {}, 404, 'execution_not_found', /./],
  ];
  for (const dry of [false, true]) {
    for (const [execution, body, status, code, detail] of refusals) {
      const answer = await call(execution, { ...body, dry_run: dry });
      expect(answer).toMatchObject({ status, body: { code, detail: expect.stringMatching(detail) } });
    }
  }
  expect((await engine.client.status(id, { includeOutputs: true })).steps).toEqual(failed.steps);
  await engine.request('POST', `/admin/executions/${running}/cancel`, {});
});

test('the URL of a webhook step takes a request again when the step runs again', async () => {
  const id = await engine.start(await engine.publish({ steps: { hook: { type: 'webhook', with: {} } } }));
  const url = async () => {
    await database.until(
      `select true from workflow_step_executions where workflow_execution_id = $1 and status = 'waiting'`,
      [id],
    );
    const { url } = (await engine.client.status(id)).steps[0]!.waiting_for as unknown as { url: string };
    return url.replace(BASE, engine.url);
  };
  const send = async (body: string) =>
    (await fetch(await url(), { method: 'POST', body, headers: { 'content-type': 'text/plain' } })).status;
  expect(await send('one')).toBe(202);
  expect((await engine.end(id)).outputs).toMatchObject({ hook: { body: 'one' } });
  expect((await call(id, { from: 'hook' })).status).toBe(200);
  expect(await send('two')).toBe(202);
  expect((await engine.end(id)).outputs).toMatchObject({ hook: { body: 'two' } });
});
