/**
 * Values that the database would refuse, and secrets that must not get there, beside healthy neighbours.
 */
import { expect, test } from 'bun:test';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type EngineDatabase, statuses, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { assertInvariants } from '../../support/invariants.ts';

const SECRET = 'a-secret-"with"-quotes';

let database: EngineDatabase;
let engine: TestEngine;
let folder: string;

fixtureForAll(async (fixture) => {
  database = await fixture.database();
  folder = await fixture.folder();
  const secrets = join(folder, 'secrets.json');
  await writeFile(secrets, JSON.stringify({ TOKEN: SECRET }), { mode: 0o600 });
  engine = await fixture.engine({ config: { EXECUTION_ENGINE_SECRETS_FILE: secrets } });
});

const KINDS = ['nul', 'surrogate', 'nan', 'infinity', 'deep', 'big', 'function', 'cycle'];

test.each(KINDS)(
  'an output of kind %p fails its step with output_not_storable, not retried',
  async (kind) => {
    const end = await engine.run({
      steps: { bad: { type: 'unstorable', with: { kind }, retry: { limit: 3, delay: '1ms' } } },
    });
    expect(end).toMatchObject({ status: 'failed', error: { code: 'output_not_storable', step: 'bad' } });
    expect(stepOf(end, 'bad').attempt_count).toBe(1);
    await assertInvariants(database.url);
  },
);

test.each([
  ['parks for a text', 'invalid_pause'],
  ['parks for no number', 'invalid_pause'],
  ['parks for ever', 'invalid_pause'],
  ['parks until no instant', 'invalid_pause'],
  ['parks until infinity', 'invalid_pause'],
  ['fails with no code', 'a\ufffdb'],
  ['fails with a number for a code', '7'],
  ['asks for no pause', 'busy'],
])('a handler that %s has failed, and is not run again', async (kind, code) => {
  const end = await engine.run({ steps: { bad: { type: 'bad', with: { kind } } } });
  expect(end).toMatchObject({ status: 'failed', error: { code, step: 'bad' } });
  expect(stepOf(end, 'bad').attempt_count).toBe(1);
});

test('values that cannot be stored never hurt a neighbour of the same batch', async () => {
  const neighbours = Array.from({ length: 50 }, (_, at) => [
    `n${at}`,
    { type: 'record', with: { value: at } },
  ]);
  const bad = KINDS.map((kind) => [`bad_${kind}`, { type: 'unstorable', with: { kind } }]);
  const end = await engine.run({ onFailure: 'continue', steps: Object.fromEntries([...bad, ...neighbours]) });
  expect(end.progress).toMatchObject({ total: 58, completed: 50, failed: 8 });
  const others = await Promise.all(
    Array.from({ length: 5 }, () => engine.run({ steps: Object.fromEntries(neighbours.slice(0, 5)) })),
  );
  expect(new Set(others.map(({ status }) => status))).toEqual(new Set(['completed']));
});

test('inputs that cannot be stored are refused before anything is written', async () => {
  const template = await engine.publish({ steps: { a: { type: 'record' } } });
  for (const inputs of ['{"a":"\\u0000"}', '{"a":"\\ud800"}', `${'['.repeat(600)}${']'.repeat(600)}`]) {
    const response = await fetch(`${engine.url}/api/v1/execution/start`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: `{"template":"${template}","inputs":${inputs}}`,
    });
    expect({ status: response.status, code: ((await response.json()) as { code: string }).code }).toEqual({
      status: 422,
      code: 'not_storable',
    });
  }
});

test('an error whose message and details cannot be stored is stored without what is wrong', async () => {
  const end = await engine.run({
    steps: {
      bad: {
        type: 'script',
        with: { code: 'throw new Error("a\\u0000b\\ud800c")' },
      },
    },
  });
  expect(end.status).toBe('failed');
  expect(stepOf(end, 'bad').error?.message).toContain('a');
});

test('secrets are masked in outputs, errors, execution errors and final outputs', async () => {
  const leak = { value: 'the token is ${{ secrets.TOKEN }}!' };
  const end = await engine.run({
    onFailure: 'continue',
    steps: {
      leak: { type: 'record', with: leak },
      exact: { type: 'record', with: { value: { '${{ 1 }}': '${{ secrets.TOKEN }}' } } },
      fails: { type: 'throws', with: { message: 'rejected ${{ secrets.TOKEN }}' } },
      details: {
        type: 'flaky',
        with: { failures: 9, retryable: false, message: 'm', details: { key: '${{ secrets.TOKEN }}' } },
      },
    },
  });
  expect(statuses(end)).toMatchObject({ leak: 'completed', exact: 'completed', fails: 'failed' });
  expect(stepOf(end, 'leak').outputs).toBe('the token is ***!');
  expect(stepOf(end, 'fails').error?.message).toBe('rejected ***');
  expect(stepOf(end, 'details').error?.details).toEqual({ key: '***' });
  const completed = await engine.run({
    output: { token: '${{ secrets.TOKEN }}' },
    steps: { a: { type: 'noop' } },
  });
  expect(completed.outputs).toEqual({ token: '***' });
  const { rows } = await database.pool.query(
    `select (select count(*)::integer from workflow_step_executions s where s::text like '%a-secret-%') as steps,
            (select count(*)::integer from workflow_executions e where e::text like '%a-secret-%') as executions`,
  );
  expect(rows[0]).toEqual({ steps: 0, executions: 0 });
});

test('a secret is there for the step that is given it, and masked for the next', async () => {
  const end = await engine.run({
    steps: {
      length: { type: 'record', with: { value: '${{ secrets.TOKEN.length }}' } },
      leak: { type: 'record', with: { value: '${{ secrets.TOKEN }}' } },
      next: { type: 'record', needs: ['leak'], with: { value: '${{ inputs.leak }}' } },
    },
  });
  expect(end.outputs).toEqual({ length: SECRET.length, next: '***' });
});
