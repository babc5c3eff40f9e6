/**
 * Tasks: claimed by workers outside, kept alive, ended with the claim's token, and given back when a worker is silent.
 */
import { describe, expect, test } from 'bun:test';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { JsonObject } from '../../../core/json/json.ts';
import { ADMIN, answeringEngines } from '../../support/api/answering-engines.ts';
import { type EngineCalls, type EngineDatabase, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

const WORKERS = join(import.meta.dir, '..', '..', '..', 'examples', 'workers');

let database: EngineDatabase;
let engines: readonly TestEngine[];
let engine: TestEngine;
let stranger: EngineCalls;

const fixture = fixtureForAll(async (made) => {
  ({ database, engines, stranger } = await answeringEngines(made));
  engine = engines[0]!;
});

interface Claimed {
  readonly id: string;
  readonly token: string;
  readonly input: unknown;
  readonly attempt: number;
  readonly idempotency_key: string;
  readonly lease_seconds: number;
}

const definition = (queue: string, step: JsonObject = {}, params: JsonObject = {}) => ({
  steps: { work: { type: 'task', with: { queue, input: { n: '${{ input.n }}' }, ...params }, ...step } },
});

async function start(queue: string, step: JsonObject = {}, params: JsonObject = {}): Promise<string> {
  return engine.start(await engine.publish(definition(queue, step, params)), { inputs: { n: 7 } });
}

async function claim(queue: string, more: JsonObject = {}, calls: EngineCalls = engine): Promise<Claimed[]> {
  const { status, body } = await calls.request('POST', '/api/v1/tasks/claim', {
    queue,
    worker: 'a worker',
    wait: '30s',
    ...more,
  });
  expect(status).toBe(200);
  return body.tasks as unknown as Claimed[];
}

const tell = (
  what: 'complete' | 'fail' | 'heartbeat',
  id: string,
  body: JsonObject,
  calls: EngineCalls = engine,
) => calls.request('POST', `/api/v1/tasks/${id}/${what}`, body);

describe('a task', () => {
  test('is claimed with its input, says who has it, and is completed with what the worker returns', async () => {
    const queue = randomUUID();
    const id = await start(queue);
    const [task] = await claim(queue);
    expect(task).toEqual({
      id: task!.id,
      token: expect.any(String),
      input: { n: 7 },
      attempt: 1,
      idempotency_key: task!.id,
      lease_seconds: 60,
    });
    expect(stepOf(await engine.client.status(id), 'work')).toMatchObject({
      id: task!.id,
      status: 'waiting',
      waiting_for: { kind: 'task', queue, claimed_by: 'a worker' },
    });
    expect((await tell('heartbeat', task!.id, { token: task!.token })).body).toMatchObject({
      lease_seconds: 60,
    });
    expect((await tell('complete', task!.id, { token: task!.token, output: { m: 8 } })).status).toBe(200);
    const end = await engine.end(id);
    expect(end.outputs).toEqual({ work: { m: 8 } });
    expect(stepOf(end, 'work').attempt_count).toBe(1);
  });

  test('that failed may be tried again, with a claim of its own', async () => {
    const queue = randomUUID();
    const id = await start(queue, { retry: { limit: 1, delay: 0, jitter: false } });
    const error = { code: 'no', message: 'not now' };
    const [first] = await claim(queue);
    expect((await tell('fail', first!.id, { token: first!.token, error, retryable: true })).status).toBe(200);
    const [second] = await claim(queue);
    expect(second).toMatchObject({ id: first!.id, attempt: 2, input: { n: 7 } });
    expect(second!.token).not.toBe(first!.token);
    expect((await tell('complete', first!.id, { token: first!.token })).body.code).toBe('stale_token');
    expect((await tell('fail', second!.id, { token: second!.token, error })).status).toBe(200);
    expect((await engine.end(id)).error).toMatchObject({ code: 'no', step: 'work' });
  });

  test('that is over takes no heartbeat and no result: 409 task_over', async () => {
    const queue = randomUUID();
    const id = await start(queue);
    const [task] = await claim(queue);
    await engine.client.cancel(id);
    for (const what of ['heartbeat', 'complete'] as const)
      expect((await tell(what, task!.id, { token: task!.token })).body).toMatchObject({
        status: 409,
        code: 'task_over',
      });
  });

  test('is taken with the token of its claim alone', async () => {
    const queue = randomUUID();
    const id = await start(queue);
    const [task] = await claim(queue);
    const token = randomUUID();
    for (const what of ['heartbeat', 'complete'] as const)
      expect((await tell(what, task!.id, { token })).body).toMatchObject({
        status: 409,
        code: 'stale_token',
      });
    expect((await tell('complete', task!.id, { token: task!.token, output: 1 })).status).toBe(200);
    expect((await engine.end(id)).outputs).toEqual({ work: 1 });
  });

  test('is completed by hand while it is free, and not while a worker has it', async () => {
    const queue = randomUUID();
    const [free, taken] = [await start(queue), await start(queue)];
    const [task] = await claim(queue);
    const other = [free, taken].find((id) => id !== undefined);
    expect(other).toBeDefined();
    const steps = await Promise.all(
      [free, taken].map(async (id) => stepOf(await engine.client.status(id), 'work').id),
    );
    for (const stepId of steps) {
      const { body } = await engine.request('POST', `/api/v1/steps/${stepId}/complete`, {
        output: 'by hand',
      });
      if (stepId === task!.id) expect(body).toMatchObject({ status: 409, code: 'task_claimed' });
      else expect(body).toMatchObject({ status: 'completed' });
    }
    await tell('complete', task!.id, { token: task!.token, output: 'by worker' });
    const outputs = await Promise.all([free, taken].map(async (id) => (await engine.end(id)).outputs));
    expect(outputs.map((output) => (output as JsonObject).work).sort()).toEqual(['by hand', 'by worker']);
  });

  test('ends at its timeout, also while a worker has it', async () => {
    const queue = randomUUID();
    const id = await start(queue, { timeout: '5s' });
    const [task] = await claim(queue);
    expect((await engine.end(id)).error).toMatchObject({ code: 'timeout', step: 'work' });
    expect((await tell('heartbeat', task!.id, { token: task!.token })).body.code).toBe('task_over');
  });

  test('inside a scope is claimed like any other', async () => {
    const queue = randomUUID();
    const steps = { work: { type: 'task', with: { queue, input: '${{ item }}' } } };
    const id = await engine.start(
      await engine.publish({ steps: { each: { type: 'foreach', with: { items: 3, steps } } } }),
    );
    for (let left = 3; left > 0; ) {
      const tasks = await claim(queue, { max: left }, engines[left % 2]);
      for (const { id: step, token, input } of tasks)
        await tell('complete', step, { token, output: input as number });
      left -= tasks.length;
    }
    expect((await engine.end(id)).outputs).toEqual({ each: [{ work: 0 }, { work: 1 }, { work: 2 }] });
  });
});

describe('a lease', () => {
  test('that runs out gives the task to another worker, and the third time in a row fails it', async () => {
    const queue = randomUUID();
    const id = await start(queue, {}, { lease: '150ms' });
    const tokens: string[] = [];
    for (const attempt of [1, 2, 3]) {
      const [task] = await claim(queue);
      expect(task).toMatchObject({ attempt, lease_seconds: 0.15 });
      tokens.push(task!.token);
      if (attempt === 2)
        expect((await tell('complete', task!.id, { token: tokens[0]!, output: 1 })).body.code).toBe(
          'stale_token',
        );
    }
    const end = await engine.end(id);
    expect(end.error).toMatchObject({ code: 'worker_lost', step: 'work' });
    expect(stepOf(end, 'work').attempt_count).toBe(3);
  });

  test('whose timer is gone is found by the doctor, which sets it again', async () => {
    const queue = randomUUID();
    const id = await start(queue, {}, { lease: '1h' });
    const [task] = await claim(queue);
    const timer = `from pgboss.job where data ->> 'step_id' = $1 and data ->> 'kind' = 'task_lease'`;
    await database.pool.query(`delete ${timer}`, [task!.id]);
    const { repaired } = await engine.client.repair({ grace_seconds: 0 });
    expect(repaired).toEqual([{ invariant: 'claimed-task-without-timer', count: 1 }]);
    const { rows } = await database.pool.query(
      `select start_after between now() + interval '59 minutes' and now() + interval '61 minutes' as right ${timer}`,
      [task!.id],
    );
    expect(rows).toEqual([{ right: true }]);
    // Overdue, it gives the task to another worker.
    await database.pool.query('update workflow_tasks set lease_until = now() where step_execution_id = $1', [
      task!.id,
    ]);
    await database.pool.query(`delete ${timer}`, [task!.id]);
    await engine.client.repair({ grace_seconds: 0 });
    const [again] = await claim(queue);
    expect(again).toMatchObject({ id: task!.id, attempt: 2 });
    await tell('complete', again!.id, { token: again!.token });
    await engine.end(id);
  });

  test('that heartbeats renew is not ended', async () => {
    const queue = randomUUID();
    const id = await start(queue, {}, { lease: '1h' });
    const [task] = await claim(queue);
    // Its timer is due, and finds the lease renewed.
    const { id: step, token } = task!;
    for (let beats = 0; beats < 3; beats += 1) {
      expect((await tell('heartbeat', step, { token })).status).toBe(200);
      await database.pool.query(
        `update pgboss.job set start_after = now() where data ->> 'step_id' = $1 and data ->> 'kind' = 'task_lease'`,
        [step],
      );
      await database.until(
        `select count(*) = 1 from pgboss.job
          where data ->> 'step_id' = $1 and data ->> 'kind' = 'task_lease' and start_after > now()`,
        [step],
      );
    }
    expect((await tell('complete', step, { token, output: 'alive' })).status).toBe(200);
    expect((await engine.end(id)).outputs).toEqual({ work: 'alive' });
  });
});

describe('a claim', () => {
  test('waits for a task, and is answered empty when none comes', async () => {
    const queue = randomUUID();
    expect(await claim(queue, { wait: '10ms' })).toEqual([]);
    const waiting = [claim(queue), claim(queue, {}, engines[1])];
    const ids = [await start(queue), await start(queue)];
    const tasks = (await Promise.all(waiting)).flat();
    expect(tasks).toHaveLength(2);
    for (const { id, token } of tasks) await tell('complete', id, { token });
    for (const id of ids) expect((await engine.end(id)).status).toBe('completed');
  });

  test('gets tasks of its own workspace alone', async () => {
    const queue = randomUUID();
    const id = await start(queue);
    const mine = await stranger.start(await stranger.publish(definition(queue)), { inputs: { n: 9 } });
    const [task] = await claim(queue, { max: 10 }, stranger);
    expect(task!.input).toEqual({ n: 9 });
    expect(await claim(queue, { wait: 0 }, stranger)).toEqual([]);
    await tell('complete', task!.id, { token: task!.token }, stranger);
    await stranger.end(mine);
    const [other] = await claim(queue);
    expect((await tell('complete', other!.id, { token: other!.token }, stranger)).status).toBe(404);
    await tell('complete', other!.id, { token: other!.token });
    await engine.end(id);
  });

  test('of many workers at once gives each task once', async () => {
    const queue = randomUUID();
    const template = await engine.publish(definition(queue));
    const ids = await Promise.all(
      Array.from({ length: 40 }, (_, n) => engine.start(template, { inputs: { n } })),
    );
    const done = new Map<string, number>();
    const work = async (calls: EngineCalls) => {
      while (done.size < ids.length) {
        const tasks = await claim(queue, { max: 5, wait: '200ms' }, calls);
        for (const { id, token, input } of tasks) {
          done.set(id, (done.get(id) ?? 0) + 1);
          expect((await tell('complete', id, { token, output: input as JsonObject }, calls)).status).toBe(
            200,
          );
        }
      }
    };
    await Promise.all(Array.from({ length: 6 }, (_, at) => work(engines[at % 2]!)));
    expect([...done.values()]).toEqual(Array(40).fill(1));
    for (const [n, id] of ids.entries()) expect((await engine.end(id)).outputs).toEqual({ work: { n } });
  });

  test('with more than a hundred, or without a worker, is 422', async () => {
    for (const body of [{ max: 101 }, { max: 0 }, { worker: '' }, { wait: 'long' }, { more: 1 }]) {
      const call = { queue: 'q', worker: 'w', ...body };
      expect((await engine.request('POST', '/api/v1/tasks/claim', call)).status).toBe(422);
    }
  });
});

test.each([
  ['TypeScript', [process.execPath, join(WORKERS, 'worker.ts')]],
  ['Python', ['python3', join(WORKERS, 'worker.py')]],
])('the worker in %s does what is in its queue', async (_language, command) => {
  const queue = randomUUID();
  const worker = await fixture.use(
    Bun.spawn(command, {
      env: { PATH: process.env.PATH ?? '', ENGINE_URL: engine.url, ENGINE_KEY: ADMIN, QUEUE: queue },
      stdout: 'inherit',
      stderr: 'inherit',
    }),
    async (child) => {
      child.kill('SIGKILL');
      await child.exited;
    },
  );
  const template = await engine.publish({
    steps: { work: { type: 'task', with: { queue, input: { text: '${{ input.text }}' } } } },
  });
  const good = await engine.start(template, { inputs: { text: 'three small words' } });
  const bad = await engine.start(template, { inputs: { text: 4 } });
  expect((await engine.end(good)).outputs).toMatchObject({ work: { words: 3 } });
  expect((await engine.end(bad)).error).toMatchObject({ code: 'work_failed', step: 'work' });
  expect(worker.exitCode).toBeNull();
});
