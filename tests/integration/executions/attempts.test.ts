/**
 * Attempts: retries with backoff, timeouts with a real abort, and what is never tried again.
 */
import { expect, test } from 'bun:test';
import type { JsonObject } from '../../../core/json/json.ts';
import { type EngineDatabase, statuses, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { httpPeer } from '../../support/http-peer.ts';
import { assertInvariants } from '../../support/invariants.ts';

let database: EngineDatabase;
let engine: TestEngine;

fixtureForAll(async (fixture) => {
  database = await fixture.database();
  engine = await fixture.engine({
    config: { EXECUTION_ENGINE_HTTP_ALLOW: '127.0.0.1' },
  });
});

const notes = async (id: string) =>
  (await database.runs(id)).filter(({ note }) => note !== null).map(({ note }) => note);
const runCount = async (id: string) => (await database.runs(id)).filter(({ note }) => note === null).length;
const soon = { limit: 3, delay: '5ms', backoff: 'exponential', maxDelay: '20ms' };

test('a step that fails twice completes in its third attempt', async () => {
  const end = await engine.run({ steps: { f: { type: 'flaky', with: { failures: 2 }, retry: soon } } });
  expect(end.outputs).toEqual({ f: { attempt: 3 } });
  expect(stepOf(end, 'f')).toMatchObject({ attempt_count: 3, error: null });
  expect(await runCount(end.execution_id)).toBe(3);
});

test('a step fails for good when its retries are used up, with the last error', async () => {
  const end = await engine.run({
    steps: {
      f: { type: 'flaky', with: { failures: 9, message: 'still not' }, retry: { ...soon, limit: 2 } },
    },
  });
  expect(end).toMatchObject({ status: 'failed', error: { code: 'flaky', message: 'still not', step: 'f' } });
  expect(stepOf(end, 'f').attempt_count).toBe(3);
  expect(await runCount(end.execution_id)).toBe(3);
});

test('the idempotency key of a step is the same in all its attempts, and no other step has it', async () => {
  const keyed = { type: 'keyed', with: { failures: 3 }, retry: soon };
  const template = await engine.publish({ steps: { a: keyed, b: keyed } });
  const keys: string[] = [];
  for (const id of [await engine.start(template), await engine.start(template)]) {
    const end = await engine.end(id);
    const runs = await database.runs(id);
    for (const step of ['a', 'b']) {
      expect(stepOf(end, step)).toMatchObject({ status: 'completed', attempt_count: 4 });
      const seen = runs.filter((run) => run.step === step).map(({ note }) => note);
      expect(seen).toEqual(Array(4).fill(seen[0]));
      keys.push(seen[0]!);
    }
  }
  for (const key of keys) expect(key).toMatch(/^[!-~]{16,}$/);
  expect(new Set(keys).size).toBe(4);
});

test('an http step tells its peer the same idempotency key in every attempt, and another step another one', async () => {
  const told = new Map<string, unknown[]>([
    ['/a', []],
    ['/b', []],
  ]);
  await using peer = await httpPeer(({ url, headers }, response) => {
    const keys = told.get(url!)!;
    keys.push(headers['idempotency-key']);
    response.statusCode = keys.length < 3 ? 503 : 200;
    response.end();
  });
  const call = (path: string) => ({
    type: 'http',
    with: { method: 'POST', url: peer.origin + path },
    retry: soon,
  });
  const end = await engine.run({ steps: { a: call('/a'), b: call('/b') } });
  expect(statuses(end)).toEqual({ a: 'completed', b: 'completed' });
  const [a, b] = [...told.values()];
  expect(a).toEqual(Array(3).fill(a![0]));
  expect(b).toEqual(Array(3).fill(b![0]));
  for (const key of [a![0], b![0]]) expect(key).toMatch(/^[!-~]{16,}$/);
  expect(a![0]).not.toBe(b![0]);
});

test('when the next attempt is due is kept in the database, as far off as the retries say', async () => {
  const id = await engine.start(
    await engine.publish({
      steps: {
        f: {
          type: 'flaky',
          with: { failures: 9 },
          retry: { limit: 2, delay: '1h', backoff: 'exponential', jitter: false },
        },
      },
    }),
  );
  await database.until(
    `select resume_at - updated_at = interval '1 hour' from workflow_step_executions
      where workflow_execution_id = $1 and status = 'retrying' and retry_count = 1`,
    [id],
  );
  await assertInvariants(database.url, { allFinal: false });
  await engine.client.cancel(id);
});

test('a failure that says it is not retryable is not retried', async () => {
  const end = await engine.run({
    steps: { f: { type: 'flaky', with: { failures: 9, retryable: false }, retry: soon } },
  });
  expect(end.status).toBe('failed');
  expect(stepOf(end, 'f').attempt_count).toBe(1);
});

test('a thrown error is retried and kept as handler_failed', async () => {
  const end = await engine.run({
    steps: { t: { type: 'throws', with: { message: 'broke' }, retry: { ...soon, limit: 1 } } },
  });
  expect(stepOf(end, 't')).toMatchObject({
    attempt_count: 2,
    error: { code: 'handler_failed', message: 'broke' },
  });
});

test('a thrown error of another kind keeps its name', async () => {
  const thrown = { type: 'throws', with: { name: 'TypeError', message: 'broke' } };
  const end = await engine.run({ steps: { t: thrown } });
  expect(stepOf(end, 't').error).toMatchObject({ code: 'handler_failed', message: 'TypeError: broke' });
});

test('the fail step is never retried', async () => {
  const end = await engine.run({
    steps: { f: { type: 'fail', with: { message: 'no', code: 'nope' }, retry: soon } },
  });
  expect(stepOf(end, 'f')).toMatchObject({ attempt_count: 1, error: { code: 'nope', message: 'no' } });
});

test('a handler sees the abort of its timeout, the step fails with timeout, and what it answers then is refused', async () => {
  const stale = await engine.metric('execution_engine_stale_completions_total');
  const end = await engine.run({
    steps: { slow: { type: 'until-aborted', timeout: '30ms', with: { answer: 'too late' } } },
  });
  expect(end).toMatchObject({ status: 'failed', error: { code: 'timeout', step: 'slow' } });
  expect(stepOf(end, 'slow')).toMatchObject({
    status: 'failed',
    attempt_count: 1,
    error: { code: 'timeout' },
  });
  await database.until('select true from test_runs where execution_id = $1 and note is not null', [
    end.execution_id,
  ]);
  expect(await notes(end.execution_id)).toEqual(['timeout']);
  await engine.metricReaches('execution_engine_stale_completions_total', stale + 1);
});

test('how long its guard takes is not the time of a step', async () => {
  const slow = '[...Array(100000).keys()].map((n) => n * n).length';
  const end = await engine.run({
    steps: {
      skipped: { type: 'noop', timeout: 1, when: `\${{ ${slow} < 0 }}` },
      passed: { type: 'noop', timeout: 1, when: `\${{ ${slow} > 0 }}` },
    },
  });
  expect(statuses(end)).toEqual({ skipped: 'skipped', passed: 'completed' });
});

test('a timeout is per attempt and is retried', async () => {
  const end = await engine.run({
    steps: { slow: { type: 'until-aborted', timeout: '20ms', retry: { ...soon, limit: 2 } } },
  });
  expect(stepOf(end, 'slow')).toMatchObject({ attempt_count: 3, error: { code: 'timeout' } });
  await database.until('select count(note) = 3 from test_runs where execution_id = $1', [end.execution_id]);
  expect(await notes(end.execution_id)).toEqual(['timeout', 'timeout', 'timeout']);
});

test('a handler that sends no heartbeat is told to end, and tried again; one that sends them is left alone', async () => {
  const end = await engine.run({
    onFailure: 'continue',
    steps: {
      silent: { type: 'until-aborted', heartbeatTimeout: '20ms', retry: { ...soon, limit: 1 } },
      alive: { type: 'beats', heartbeatTimeout: '5s', with: { ms: 5_500 } },
    },
  });
  expect(stepOf(end, 'silent')).toMatchObject({ attempt_count: 2, error: { code: 'heartbeat_timeout' } });
  expect(stepOf(end, 'alive')).toMatchObject({ status: 'completed', attempt_count: 1 });
  await database.until(
    `select count(note) = 2 and bool_and(note = 'heartbeat_timeout') from test_runs
      where execution_id = $1 and note is not null`,
    [end.execution_id],
  );
});

test('a handler that does not listen to its timeout does not hold up the execution', async () => {
  const end = await engine.run({
    steps: {
      deaf: { type: 'deaf', timeout: '20ms', with: { name: 'deaf-timeout' } },
      after: {
        type: 'record',
        needs: [{ step: 'deaf', on: 'failure' }],
        with: { value: '${{ inputs.deaf.code }}' },
      },
    },
  });
  expect(end.outputs).toEqual({ after: 'timeout' });
  await database.openGate('deaf-timeout');
  await database.until('select true from test_runs where execution_id = $1 and note = $2', [
    end.execution_id,
    'aborted',
  ]);
  expect(statuses(await engine.end(end.execution_id))).toEqual({ deaf: 'failed', after: 'completed' });
});

test('time that a step is parked counts towards its timeout', async () => {
  const end = await engine.run({ steps: { d: { type: 'delay', timeout: '30ms', with: { for: '1h' } } } });
  expect(end).toMatchObject({ status: 'failed', error: { code: 'timeout', step: 'd' } });
});

test('a step that is parked again and again is timed out all the same', async () => {
  const end = await engine.run({
    steps: { p: { type: 'parks_again', timeout: '2s', with: { ms: 100 } } },
  });
  expect(end).toMatchObject({ status: 'failed', error: { code: 'timeout', step: 'p' } });
  expect(await runCount(end.execution_id)).toBeGreaterThan(1);
  await assertInvariants(database.url);
});

test('a parked step goes on with its state and uses no attempt for it', async () => {
  const end = await engine.run({ steps: { p: { type: 'parks', with: { ms: 20 } } } });
  expect(end.outputs).toEqual({ p: { kept: 'state' } });
  expect(stepOf(end, 'p').attempt_count).toBe(1);
  expect(await runCount(end.execution_id)).toBe(2);
});

test('an execution that takes longer than its timeout ends timed_out and its handlers are aborted', async () => {
  const id = await engine.start(
    await engine.publish({
      timeout: '1h',
      steps: {
        slow: { type: 'until-aborted' },
        next: { type: 'record', needs: ['slow'] },
        onFailure: { type: 'record', needs: [{ step: 'slow', on: 'failure' }] },
        always: { type: 'record', needs: [{ step: 'slow', on: 'always' }] },
      },
    }),
  );
  await database.until('select true from test_runs where execution_id = $1', [id]);
  // Its time is over now: one that is over before the handler begins keeps it from beginning.
  await database.pool.query(
    `update pgboss.job set start_after = now() where data ->> 'kind' = 'deadline' and data ->> 'execution_id' = $1`,
    [id],
  );
  const end = await engine.end(id);
  expect(end).toMatchObject({ status: 'timed_out', error: { code: 'timed_out', step: null }, outputs: null });
  expect(new Set(Object.values(statuses(end)))).toEqual(new Set(['cancelled']));
  await database.until('select true from test_runs where execution_id = $1 and note is not null', [
    end.execution_id,
  ]);
  expect(await runCount(end.execution_id)).toBe(1);
});

test('an execution that is done before its timeout leaves no timer behind', async () => {
  const end = await engine.run({ timeout: '1h', steps: { a: { type: 'record' } } });
  expect(end.status).toBe('completed');
});

test('a timeout that falls into a retry delay ends the execution and takes the retry along', async () => {
  const end = await engine.run({
    timeout: '40ms',
    steps: { f: { type: 'flaky', with: { failures: 9 }, retry: { limit: 5, delay: '1h' } } },
  });
  expect(end.status).toBe('timed_out');
  expect(statuses(end)).toEqual({ f: 'cancelled' });
});

test('parameters that the schema refuses after interpolation fail the step and are not retried', async () => {
  const end = await engine.run(
    { steps: { d: { type: 'delay', with: { for: '${{ input.time }}' }, retry: soon } } } satisfies JsonObject,
    { inputs: { time: ['not', 'a', 'time'] } },
  );
  expect(end.status).toBe('failed');
  expect(stepOf(end, 'd')).toMatchObject({ attempt_count: 1, error: { code: 'invalid_params' } });
});
