/**
 * Outputs that are each small enough and together too large for one step, or for one execution, to read.
 */
import { expect, test } from 'bun:test';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JsonObject } from '../../../core/json/json.ts';
import { isFinalExecution } from '../../../core/status.ts';
import { readManyInputs } from '../../../db/workflow-execution.ts';
import type { ExecutionStatusBody } from '../../../services/execution-answers.ts';
import { type EngineDatabase, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { until } from '../../support/until.ts';

const config = { EXECUTION_ENGINE_MAX_OUTPUT_BYTES: '16KiB', EXECUTION_ENGINE_MAX_INPUTS_BYTES: '64KiB' };

let database: EngineDatabase;
let engine: TestEngine;

const fixture = fixtureForAll(async () => {
  database = await fixture.database();
  engine = await fixture.engine({ config });
});

/** Steps with an output of 10 KB each. */
function producers(count: number): JsonObject {
  const value = 'x'.repeat(10_000);
  return Object.fromEntries(
    Array.from({ length: count }, (_, at) => [`p${at}`, { type: 'transform', with: { value } }]),
  );
}

/** The end of an execution whose outputs no answer can hold. */
async function endOf(id: string): Promise<ExecutionStatusBody> {
  for (;;) {
    const status = await engine.client.status(id, { wait: '30s' });
    if (isFinalExecution(status.status)) return status;
  }
}

const run = async (definition: JsonObject) => endOf(await engine.start(await engine.publish(definition)));

const RETRIED = { limit: 3, delay: '1ms' };

test('a step that reads more than it may fails with inputs_too_large, not retried', async () => {
  const steps = producers(8);
  const end = await run({
    steps: { ...steps, sum: { type: 'record', needs: Object.keys(steps), retry: RETRIED } },
    output: 1,
  });
  expect(end).toMatchObject({ status: 'failed', error: { code: 'inputs_too_large', step: 'sum' } });
  expect(stepOf(end, 'sum')).toMatchObject({ attempt_count: 0, error: { details: { limit: 65_536 } } });
});

test('an expression that reads more than it may fails its step', async () => {
  const steps = producers(8);
  const value = '${{ Object.values(inputs).length }}';
  const sum = { type: 'transform', needs: Object.keys(steps), with: { value } };
  expect(await run({ steps: { ...steps, sum }, output: 1 })).toMatchObject({
    status: 'failed',
    error: { code: 'inputs_too_large', step: 'sum' },
  });
});

test('a step that does not read what arrives may have any number of inputs', async () => {
  const steps = producers(8);
  const sum = { type: 'transform', needs: Object.keys(steps), with: { value: 7 } };
  expect(await run({ steps: { ...steps, sum } })).toMatchObject({
    status: 'completed',
    outputs: { sum: 7 },
  });
});

test('a step that reads as much as it may is run', async () => {
  const steps = producers(6);
  const value = '${{ Object.values(inputs).map((text) => text.length) }}';
  const sum = { type: 'transform', needs: Object.keys(steps), with: { value } };
  const end = await run({ steps: { ...steps, sum } });
  expect(end.outputs).toEqual({ sum: Array.from({ length: 6 }, () => 10_000) });
});

test('an execution whose leaves give more than it may have fails with output_failed', async () => {
  const end = await run({ steps: producers(8) });
  expect(end).toMatchObject({ status: 'failed', error: { code: 'output_failed' } });
  expect(end.error!.message).toContain('EXECUTION_ENGINE_MAX_INPUTS_BYTES');
});

test('a key of a limit that reads more than it may fails its step with no attempt made', async () => {
  const steps = producers(8);
  const key = '${{ Object.values(inputs).length }}';
  const last = { type: 'noop', needs: Object.keys(steps), with: {}, concurrency: { key, limit: 1 } };
  const end = await run({ steps: { ...steps, last }, output: 1 });
  expect(end).toMatchObject({ status: 'failed', error: { code: 'inputs_too_large', step: 'last' } });
  expect(stepOf(end, 'last').attempt_count).toBe(0);
});

test('outputs that are too large for one answer are refused, and the status is there without them', async () => {
  const id = await engine.start(await engine.publish({ steps: producers(8), output: 1 }));
  for (const path of [`?execution_id=${id}&wait=30s`, `?execution_id=${id}`])
    expect(await engine.request('GET', `/api/v1/execution/status${path}`)).toMatchObject({
      status: 200,
      body: { status: 'completed' },
    });
  const refused = await engine.request('GET', `/api/v1/execution/status?execution_id=${id}&include=outputs`);
  expect(refused).toMatchObject({ status: 422, body: { code: 'outputs_too_large' } });
  expect(refused.body.detail).toContain('Ask without include=outputs.');
});

test('executions with large inputs begin a few at a time, and all of them', async () => {
  const template = await engine.publish({
    input: { type: 'object', required: ['text'], properties: { text: { type: 'string' } } },
    steps: { length: { type: 'transform', with: { value: '${{ input.text.length }}' } } },
  });
  await engine.stop();
  const { rows } = await database.pool.query(
    `select workflow_start($1, jsonb_build_object('text', $2::text)) as id from generate_series(1, 30)`,
    [template, 'x'.repeat(1_000_000)],
  );
  const ids = rows.map(({ id }) => id as string);
  const some = await readManyInputs(database.pool, ids, 16 * 1024 * 1024);
  expect([...some.keys()]).toEqual(ids.slice(0, 17));
  expect((await readManyInputs(database.pool, ids, null)).size).toBe(30);
  engine = await fixture.engine({ config });
  for (const id of ids) expect((await endOf(id)).outputs).toEqual({ length: 1_000_000 });
});

test('a type that cannot say whether it reads what arrives is given it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'engine-nosy-'));
  const path = join(folder, 'steps.ts');
  await writeFile(
    path,
    `const say = (params) => params.no.such.thing;
export default { type: 'nosy', schema: {}, readsInputs: say, run: ({ inputs }) => inputs };
`,
  );
  const nosy = await fixture.engine({ config: { EXECUTION_ENGINE_STEPS: path } });
  const steps = { a: { type: 'transform', with: { value: 7 } }, b: { type: 'nosy', needs: ['a'] } };
  expect(await nosy.run({ steps })).toMatchObject({ status: 'completed', outputs: { b: { a: 7 } } });
  await nosy.stop();
  await rm(folder, { recursive: true });
});

test('it is the same for outputs that did not pass through the engine', async () => {
  // What is stored may be longer than it was, and counts half.
  const steps = producers(14);
  const name = await engine.publish({
    steps: {
      ...steps,
      wait: { type: 'delay', with: { for: '1h' } },
      sum: { type: 'record', needs: [...Object.keys(steps), 'wait'] },
    },
    output: 1,
  });
  const id = await engine.start(name);
  await until(async () => {
    const at = await engine.client.status(id);
    return (
      stepOf(at, 'wait').status === 'waiting' &&
      Object.keys(steps).every((key) => stepOf(at, key).status === 'completed')
    );
  });
  await engine.stop();
  await database.pool.query('update pgboss.job set start_after = now()');
  engine = await fixture.engine({ config });
  expect(await endOf(id)).toMatchObject({
    status: 'failed',
    error: { code: 'inputs_too_large', step: 'sum' },
  });
});
