/**
 * Compensations, over HTTP with real handlers: what completed is undone before an execution that failed, timed out or was
 * stopped is final.
 */
import { expect, test } from 'bun:test';
import type { JsonObject } from '../../../core/json/json.ts';
import type { ExecutionStatusBody } from '../../../services/execution-answers.ts';
import { type EngineDatabase, statuses, stepOf, type TestEngine } from '../../support/engine.ts';
import { type Fixture, fixtureForAll } from '../../support/fixture.ts';
import { assertInvariants } from '../../support/invariants.ts';
import { until } from '../../support/until.ts';

let database: EngineDatabase;
let engine: TestEngine;
let fixture: Fixture;

fixture = fixtureForAll(async (own) => {
  database = await own.database();
  engine = await own.engine({ config: { EXECUTION_ENGINE_STOP_GRACE: '2m' } });
});

const undo = (more: JsonObject = {}): JsonObject => ({ type: 'record', ...more });
const done = (value: string, more: JsonObject = {}): JsonObject => ({
  type: 'record',
  with: { value },
  compensateWith: undo(),
  ...more,
});
const fails = (needs: string[]): JsonObject => ({
  type: 'fail',
  needs,
  with: { code: 'no_stock', message: 'There is none.' },
});

/** The steps that undid something, in the order in which they ran. */
async function undone(id: string): Promise<string[]> {
  const runs = await database.runs(id);
  return runs.filter(({ step }) => step.endsWith('~compensation')).map(({ step }) => step.split('~')[0]!);
}

const isRunning = (id: string, step: string) =>
  database.until('select true from test_runs where execution_id = $1 and step = $2', [id, step]);
const hasStatus = (id: string, status: string) =>
  database.until('select status = $2 from workflow_executions where id = $1', [id, status]);
const compensationOf = (end: ExecutionStatusBody, key: string) => stepOf(end, key).compensation;

test('a failure undoes what completed, the latest first, and the execution then fails with its error', async () => {
  const end = await engine.run({
    steps: {
      reserve: done('r-1'),
      charge: done('c-1', {
        needs: ['reserve'],
        compensateWith: undo({
          with: {
            value: {
              of: '${{ compensates }}',
              with: '${{ inputs.reserve }}',
              and: '${{ steps.reserve.output }}',
            },
          },
        }),
      }),
      plain: { type: 'record', needs: ['charge'] },
      ship: fails(['plain']),
      after: { type: 'record', needs: ['ship'] },
    },
  });
  expect(end).toMatchObject({
    status: 'failed',
    error: { code: 'no_stock', step: 'ship' },
    outputs: null,
    uncertain: [],
  });
  expect(end.progress).toMatchObject({ total: 5, completed: 3, failed: 1, cancelled: 1 });
  expect(statuses(end)).toEqual({
    reserve: 'completed',
    charge: 'completed',
    plain: 'completed',
    ship: 'failed',
    after: 'cancelled',
  });
  expect(await undone(end.execution_id)).toEqual(['charge', 'reserve']);
  expect(compensationOf(end, 'charge')).toMatchObject({ status: 'completed', attempt_count: 1, error: null });
  expect(compensationOf(end, 'plain')).toBeNull();
  const { id } = compensationOf(end, 'charge')!;
  const { rows } = await database.pool.query('select outputs from workflow_step_executions where id = $1', [
    id,
  ]);
  expect(rows[0].outputs).toEqual({ of: 'c-1', with: 'r-1', and: 'r-1' });
  await assertInvariants(database.url);
});

test('nothing is undone when an execution completes, or is cancelled', async () => {
  const completed = await engine.run({ steps: { a: done('a'), b: { type: 'record', needs: ['a'] } } });
  expect(completed.status).toBe('completed');
  const id = await engine.start(
    await engine.publish({ steps: { a: done('a'), b: { type: 'until-aborted', needs: ['a'] } } }),
  );
  await isRunning(id, 'b');
  await engine.client.cancel(id);
  const end = await engine.end(id);
  expect(end).toMatchObject({ status: 'cancelled', uncertain: [] });
  expect([...(await undone(id)), ...(await undone(completed.execution_id))]).toEqual([]);
});

test('a stop lets what runs give its result, undoes it too, and ends as cancelled', async () => {
  const id = await engine.start(
    await engine.publish({
      steps: {
        a: done('a'),
        b: { type: 'until-aborted', needs: ['a'], with: { answer: 'b' }, compensateWith: undo() },
        c: { type: 'until-aborted', needs: ['a'], compensateWith: undo() },
        d: { type: 'delay', needs: ['a'], with: { for: '1h' } },
      },
    }),
  );
  await Promise.all([isRunning(id, 'b'), isRunning(id, 'c')]);
  const answer = await engine.client.stop(id, 'enough');
  expect(answer).toMatchObject({ status: 'compensating', stop_requested: true });
  const end = await engine.end(id);
  expect(end).toMatchObject({ status: 'cancelled', error: { code: 'cancelled', message: 'enough' } });
  expect(statuses(end)).toEqual({ a: 'completed', b: 'completed', c: 'failed', d: 'cancelled' });
  expect(await undone(id)).toEqual(['b', 'a']);
});

test('a timeout undoes, and does not count while it is undone; a step without a result is uncertain', async () => {
  const id = await engine.start(
    await engine.publish({
      timeout: '1h',
      steps: {
        a: done('a', { compensateWith: { type: 'gate', with: { name: 'timed-undo' } } }),
        b: { type: 'delay', needs: ['a'], with: { for: '2h' }, compensateWith: undo() },
      },
    }),
  );
  await database.until(
    `select count(*) = 1 from workflow_step_executions where workflow_execution_id = $1 and status = 'waiting'`,
    [id],
  );
  await database.pool.query(
    `update pgboss.job set start_after = now() where data ->> 'kind' = 'deadline' and data ->> 'execution_id' = $1`,
    [id],
  );
  await isRunning(id, 'a~compensation');
  const during = await engine.client.status(id);
  expect(during).toMatchObject({ status: 'compensating', error: null, uncertain: ['b'] });
  expect(compensationOf(during, 'a')).toMatchObject({ status: 'running', completed_at: null });
  expect(await engine.client.stop(id)).toMatchObject({ status: 'compensating', stop_requested: false });
  await assertInvariants(database.url, { allFinal: false });
  await database.openGate('timed-undo');
  const end = await engine.end(id);
  expect(end).toMatchObject({ status: 'timed_out', error: { code: 'timed_out' }, uncertain: ['b'] });
  expect(await undone(id)).toEqual(['a']);
});

test('a compensation is retried; one that fails for good is recorded, and the others go on', async () => {
  const end = await engine.run({
    onFailure: 'continue',
    steps: {
      a: done('a'),
      b: done('b', {
        needs: ['a'],
        compensateWith: {
          type: 'flaky',
          with: { failures: 9, code: 'bank_closed' },
          retry: { limit: 2, delay: '1ms' },
        },
      }),
      c: done('c', {
        needs: ['b'],
        compensateWith: { type: 'flaky', with: { failures: 1 }, retry: { limit: 2, delay: '1ms' } },
      }),
      last: fails(['c']),
    },
  });
  expect(end).toMatchObject({
    status: 'failed',
    error: { code: 'no_stock', step: 'last' },
    not_undone: ['b'],
  });
  expect(compensationOf(end, 'c')).toMatchObject({ status: 'completed', attempt_count: 2 });
  expect(compensationOf(end, 'b')).toMatchObject({
    status: 'failed',
    attempt_count: 3,
    error: { code: 'bank_closed' },
  });
  expect(compensationOf(end, 'a')).toMatchObject({ status: 'completed' });
  expect(await undone(end.execution_id)).toEqual(['c', 'c', 'b', 'b', 'b', 'a']);
});

test('a cancel while it is undone ends it at once', async () => {
  const id = await engine.start(
    await engine.publish({
      steps: {
        a: done('a'),
        b: done('b', { needs: ['a'], compensateWith: { type: 'until-aborted' } }),
        c: fails(['b']),
      },
    }),
  );
  await isRunning(id, 'b~compensation');
  expect(await engine.client.cancel(id, 'leave it')).toMatchObject({ status: 'cancelled' });
  const end = await engine.end(id);
  expect(end).toMatchObject({ status: 'cancelled', error: { code: 'cancelled', message: 'leave it' } });
  expect(compensationOf(end, 'b')).toMatchObject({ status: 'cancelled' });
  expect(compensationOf(end, 'a')).toBeNull();
  // Its handler says when it was called off.
  await until(async () => (await undone(id)).length === 2);
  expect(await undone(id)).toEqual(['b', 'b']);
});

test.each(['steps.a.output.no.such', '[1].map(() => steps.a.output.no.such)'])(
  'an output that cannot be made is a failure that undoes: %s',
  async (expression) => {
    const end = await engine.run({
      output: `\${{ ${expression} }}`,
      steps: {
        a: {
          type: 'record',
          with: { value: {} },
          compensateWith: undo({ with: { value: '${{ compensates }}' } }),
        },
      },
    });
    expect(end).toMatchObject({ status: 'failed', error: { code: 'output_failed' } });
    expect(compensationOf(end, 'a')).toMatchObject({ status: 'completed' });
  },
);

test('a compensation may wait: it is parked without a process', async () => {
  const end = await engine.run({
    steps: { a: done('a', { compensateWith: { type: 'parks', with: { ms: 20 } } }), b: fails(['a']) },
  });
  expect(end.status).toBe('failed');
  expect(compensationOf(end, 'a')).toMatchObject({ status: 'completed', attempt_count: 1 });
});

test('an engine that is killed while it undoes leaves it to another one', async () => {
  const killed = await fixture.engineProcess({ name: 'killed' });
  await database.pool.query('delete from test_runs');
  const id = await killed.start(
    await killed.publish({
      steps: {
        a: { type: 'record', compensateWith: { type: 'keyed' } },
        b: { type: 'record', needs: ['a'], compensateWith: { type: 'keyed', with: { name: 'killed-undo' } } },
        c: { type: 'fail', needs: ['b'], with: { message: 'no' } },
      },
    }),
  );
  await isRunning(id, 'b~compensation');
  await hasStatus(id, 'compensating');
  const { engine: owner } = (await database.runs(id)).find(({ step }) => step === 'b~compensation')!;
  killed.kill('SIGKILL');
  await killed.exited;
  await database.openGate('killed-undo');
  const end = await engine.end(id);
  expect(end.status).toBe('failed');
  const keys = (await database.runs(id))
    .filter(({ step }) => step === 'b~compensation')
    .map(({ note }) => note);
  expect(new Set(keys).size).toBe(1);
  if (owner === 'killed')
    expect(compensationOf(end, 'b')).toMatchObject({ status: 'completed', attempt_count: 2 });
  expect(await undone(id)).toEqual([...keys.map(() => 'b'), 'a']);
});
