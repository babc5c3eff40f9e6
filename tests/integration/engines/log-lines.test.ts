/**
 * What the log says of executions, steps and attempts: enough to find them.
 */
import { expect, test } from 'bun:test';
import type { JsonObject } from '../../../core/json/json.ts';
import { createLog } from '../../../telemetry/log.ts';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

let database: EngineDatabase;
let engine: TestEngine;
const lines: JsonObject[] = [];

const fixture = fixtureForAll(async (all) => {
  database = await all.database();
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) };
  const log = createLog({ level: 'debug', pretty: false, secrets: [], destination });
  engine = await all.engine({ log });
});

const told = (message: string, execution: string) =>
  lines.filter((line) => line.msg === message && line.execution === execution);

test('every attempt that fails is told, and whether it is tried again', async () => {
  const definition = {
    name: 'told-orders',
    steps: {
      charge: {
        type: 'flaky',
        with: { failures: 5, code: 'declined', message: 'no funds' },
        retry: { limit: 1, delay: '7ms', jitter: false },
      },
    },
  };
  const { execution_id: id } = await engine.run(definition);
  const named = { execution: id, template: 'told-orders', version: 1 };
  const failed = {
    ...named,
    level: 'warn',
    step: 'charge',
    type: 'flaky',
    code: 'declined',
    reason: 'no funds',
    engine: expect.stringMatching(/^[0-9a-f-]{36}$/),
    ran_ms: expect.any(Number),
  };
  const attempts = told('A step failed', id);
  expect(attempts).toMatchObject([
    { ...failed, attempt: 1, status: 'retrying', retry_in_ms: 7 },
    { ...failed, attempt: 2, status: 'failed' },
  ]);
  expect(attempts[1]).not.toHaveProperty('retry_in_ms');
  expect(told('An execution ended', id)).toMatchObject([
    { ...named, status: 'failed', step: 'charge', code: 'declined', ran_ms: expect.any(Number) },
  ]);
});

test('an attempt that is lost with its engine is told by the one that takes its step over', async () => {
  const doomed = await fixture.engineProcess({ name: 'doomed' });
  const steps = { held: { type: 'gate', with: { name: 'held' } } };
  const template = await doomed.publish({ steps });
  const id = await doomed.start(template);
  await database.until('select true from test_runs where execution_id = $1', [id]);
  const [run] = await database.runs(id);
  expect(run!.engine).toBe('doomed');
  doomed.kill('SIGKILL');
  await doomed.exited;
  await database.openGate('held');
  expect((await engine.end(id)).status).toBe('completed');
  expect(told('An attempt was lost with its process; the step gets another', id)).toMatchObject([
    { level: 'warn', template, version: 1, step: 'held', type: 'gate', attempt: 1, engine: doomed.id },
  ]);
});

test('lines of handlers name the template of their execution', async () => {
  const definition = {
    name: 'told-log',
    steps: {
      note: { type: 'log', with: { message: 'a note' } },
      thrown: { type: 'throws', with: { message: 'oh' } },
    },
    onFailure: 'continue',
  };
  const { execution_id: id } = await engine.run(definition);
  const named = { template: 'told-log', version: 1, attempt: 1 };
  expect(told('a note', id)).toMatchObject([{ ...named, step: 'note' }]);
  expect(told('A handler threw', id)).toMatchObject([{ ...named, step: 'thrown', type: 'throws' }]);
});
