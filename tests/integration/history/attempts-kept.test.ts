/**
 * The history of attempts: each with its times, engine, outcome, error and log lines, however the step ended.
 */
import { expect, test } from 'bun:test';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JsonObject } from '../../../core/json/json.ts';
import { type EngineDatabase, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

const SECRET = 'correct-horse-battery';
const SOON = { limit: 5, delay: '1ms' };

let database: EngineDatabase;
let engine: TestEngine;

fixtureForAll(async (fixture) => {
  const secrets = join(await fixture.folder(), 'secrets.json');
  await writeFile(secrets, JSON.stringify({ TOKEN: SECRET }), { mode: 0o600 });
  database = await fixture.database();
  engine = await fixture.engine({
    config: {
      EXECUTION_ENGINE_SECRETS_FILE: secrets,
      EXECUTION_ENGINE_MAX_LOG_LINES: '5',
      EXECUTION_ENGINE_MAX_LOG_BYTES: '2KiB',
    },
  });
});

type Attempts = (JsonObject & {
  logs: { level: string; message: string; fields: JsonObject; at: string }[];
})[];

async function attemptsOf(stepId: string): Promise<Attempts> {
  const { body } = await engine.request('GET', `/api/v1/steps/${stepId}`);
  return body.attempts as unknown as Attempts;
}

async function run(step: JsonObject): Promise<Attempts> {
  const end = await engine.run({ steps: { step } });
  return attemptsOf(stepOf(end, 'step').id);
}

test('attempts that failed are kept with their times, engine and error, and the last one is told by its step', async () => {
  const attempts = await run({ type: 'flaky', with: { failures: 2, message: 'not yet' }, retry: SOON });
  const error = { code: 'flaky', message: 'not yet' };
  expect(attempts).toMatchObject([
    { attempt: 1, outcome: 'failed', error },
    { attempt: 2, outcome: 'failed', error },
    { attempt: 3, outcome: 'completed', error: null },
  ]);
  const times = attempts.flatMap(({ started_at, ended_at }) => [started_at, ended_at]);
  expect(times.every((time) => typeof time === 'string')).toBe(true);
  expect(times).toEqual(times.toSorted());
  expect(attempts.map(({ engine: id }) => id)).toEqual(Array(3).fill(engine.engine.id));
});

test('an attempt that succeeds at once costs no row', async () => {
  const end = await engine.run({ steps: { a: { type: 'noop' }, b: { type: 'noop', needs: ['a'] } } });
  const { rows } = await database.pool.query(
    `select (select count(*) from workflow_step_attempts a where a.workflow_execution_id = $1)::int as attempts,
            (select count(*) from workflow_step_statuses a where a.workflow_execution_id = $1)::int as statuses,
            (select count(*) from workflow_execution_statuses a where a.workflow_execution_id = $1)::int as own,
            (select count(*) from workflow_step_logs l join workflow_step_executions s on s.id = l.step_execution_id
              where s.workflow_execution_id = $1)::int as logs`,
    [end.execution_id],
  );
  expect(rows).toEqual([{ attempts: 0, statuses: 0, own: 0, logs: 0 }]);
  expect(await attemptsOf(stepOf(end, 'b').id)).toMatchObject([
    { attempt: 1, outcome: 'completed', engine: engine.engine.id, logs: [] },
  ]);
});

test('each way in which an attempt ends has its outcome', async () => {
  const never = {
    type: 'wait',
    with: { signal: 'never', timeout: '60ms' },
    retry: { limit: 1, delay: '1ms' },
  };
  expect((await run(never)).map(({ outcome, error }) => [outcome, (error as JsonObject).code])).toEqual([
    ['timed_out', 'timeout'],
    ['timed_out', 'timeout'],
  ]);
  expect(await run({ type: 'fail', with: { code: 'no', message: 'No.' } })).toMatchObject([
    { attempt: 1, outcome: 'failed', error: { code: 'no' } },
  ]);
  expect(await run({ type: 'noop', when: '${{ input.at.all }}' })).toEqual([]);
  const id = await engine.start(
    await engine.publish({ steps: { step: { type: 'wait', with: { signal: 'x' } } } }),
  );
  await database.until(
    `select count(*) = 1 from workflow_step_executions where workflow_execution_id = $1 and status = 'waiting'`,
    [id],
  );
  await engine.client.cancel(id);
  const { id: step } = stepOf(await engine.end(id), 'step');
  expect(await attemptsOf(step)).toMatchObject([{ attempt: 1, outcome: 'cancelled', error: null }]);
});

test('log lines are kept with their attempt: level, message and fields, without secrets', async () => {
  const code = 'console.log("asks with", input.token); console.warn("slow"); throw new Error("no");';
  const attempts = await run({ type: 'script', with: { code, input: { token: '${{ secrets.TOKEN }}' } } });
  expect(attempts.map(({ outcome }) => outcome)).toEqual(['failed']);
  for (const { logs, started_at, ended_at } of attempts) {
    expect(logs).toMatchObject([
      { level: 'info', message: 'asks with ***', fields: {} },
      { level: 'warn', message: 'slow', fields: {} },
    ]);
    expect(started_at! <= ended_at!).toBe(true);
  }
  const { rows } = await database.pool.query(
    'select count(*)::int as found from workflow_step_logs where lines::text like $1',
    [`%${SECRET}%`],
  );
  expect(rows).toEqual([{ found: 0 }]);
});

test('what cannot be stored in a line does not fail its step, and lines beyond the limits are counted', async () => {
  const many = 'for (let i = 0; i < 9; i++) console.log(i + "\\u0000\\ud800"); return 1;';
  const [attempt] = await run({ type: 'script', with: { code: many } });
  expect(attempt).toMatchObject({ outcome: 'completed' });
  expect(attempt!.logs.map(({ message }) => message.charAt(0))).toEqual(['0', '1', '2', '3', '4', '4']);
  expect(attempt!.logs.at(-1)).toMatchObject({
    level: 'warn',
    message: '4 more lines are in the log of the engine alone.',
  });
  const [long] = await run({ type: 'script', with: { code: 'console.log("x".repeat(5000)); return 1;' } });
  expect(long!.logs.map(({ level }) => level)).toEqual(['warn']);
});
