/**
 * Tasks with `concurrency`: each holds a slot from a worker's claim to its end, over two engines.
 */
import { describe, expect, test } from 'bun:test';
import { randomUUID } from 'node:crypto';
import type { JsonObject } from '../../../core/json/json.ts';
import { answeringEngines } from '../../support/api/answering-engines.ts';
import { type EngineDatabase, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

let database: EngineDatabase;
let engines: readonly TestEngine[];
let engine: TestEngine;

fixtureForAll(async (made) => {
  ({ database, engines } = await answeringEngines(made));
  engine = engines[0]!;
});

interface Claimed {
  readonly id: string;
  readonly token: string;
  readonly attempt: number;
}

const limited = (queue: string, key: string, limit = 1, more: JsonObject = {}): JsonObject => ({
  type: 'task',
  with: { queue, ...more },
  concurrency: { key, limit },
});

/** Executions of one step each, which are all parked: as many as there are types, and free for workers. */
async function parked(steps: readonly JsonObject[]): Promise<string[]> {
  const ids: string[] = [];
  for (const work of steps) ids.push(await engine.start(await engine.publish({ steps: { work } })));
  await database.until(
    `select count(*) = $2 from workflow_step_executions where workflow_execution_id = any($1) and status = 'waiting'`,
    [ids, ids.length],
  );
  return ids;
}

async function claim(queue: string, more: JsonObject = {}, calls = engine): Promise<Claimed[]> {
  const call = { queue, worker: 'a worker', wait: '30s', max: 10, ...more };
  const { status, body } = await calls.request('POST', '/api/v1/tasks/claim', call);
  expect(status).toBe(200);
  return body.tasks as unknown as Claimed[];
}

async function complete({ id, token }: Claimed, calls = engine): Promise<void> {
  const { status } = await calls.request('POST', `/api/v1/tasks/${id}/complete`, { token });
  expect(status).toBe(200);
}

describe('a task with concurrency', () => {
  test('holds no slot while it is free, and one while a worker has it', async () => {
    const queue = randomUUID();
    const ids = await parked(Array.from({ length: 3 }, () => limited(queue, queue)));
    for (let left = ids.length; left > 0; left -= 1) {
      const tasks = await claim(queue, {}, engines[left % 2]);
      expect(tasks).toHaveLength(1);
      for (const calls of engines) expect(await claim(queue, { wait: 0 }, calls)).toEqual([]);
      await complete(tasks[0]!);
    }
    for (const id of ids) expect((await engine.end(id)).status).toBe('completed');
  });

  test('shares its key with steps of other types', async () => {
    const queue = randomUUID();
    const [id] = await parked([limited(queue, queue)]);
    const [task] = await claim(queue);
    const concurrency = { key: queue, limit: 1 };
    const log = await engine.start(
      await engine.publish({
        steps: { held: { type: 'log', with: { message: 'x' }, concurrency }, free: { type: 'noop' } },
      }),
    );
    await database.until(
      `select count(*) = 1 from workflow_step_executions where workflow_execution_id = $1 and status = 'completed'`,
      [log],
    );
    expect(stepOf(await engine.client.status(log), 'held').status).toBe('queued');
    await complete(task!);
    expect((await engine.end(log)).status).toBe('completed');
    await engine.end(id!);
  });

  test('that is held back holds back no other of its queue', async () => {
    const queue = randomUUID();
    const held = await parked(Array.from({ length: 12 }, () => limited(queue, `${queue}-full`)));
    const free = await parked([limited(queue, `${queue}-other`), { type: 'task', with: { queue } }]);
    const ids = [...held, ...free];
    const first = await claim(queue, { max: 1 });
    const others = [...(await claim(queue, { max: 1 })), ...(await claim(queue, { max: 1 }))];
    expect([first.length, others.length]).toEqual([1, 2]);
    await Promise.all([...first, ...others].map((task) => complete(task)));
    for (let left = 11; left > 0; left -= 1) await complete((await claim(queue, { max: 1 }))[0]!);
    for (const id of ids) await engine.end(id);
  });

  test('gives its slot back when it fails, and takes one again when it is tried again', async () => {
    const queue = randomUUID();
    const [id] = await parked([{ ...limited(queue, queue), retry: { limit: 1, delay: 0 } }]);
    for (const attempt of [1, 2]) {
      const [task] = await claim(queue);
      expect(task!.attempt).toBe(attempt);
      const failure = { token: task!.token, error: { code: 'no', message: 'not now' }, retryable: true };
      expect((await engine.request('POST', `/api/v1/tasks/${task!.id}/fail`, failure)).status).toBe(200);
    }
    expect((await engine.end(id!)).status).toBe('failed');
    const [next] = await parked([limited(queue, queue)]);
    await complete((await claim(queue))[0]!);
    await engine.end(next!);
  });

  test('gives its slot back when its worker falls silent', async () => {
    const queue = randomUUID();
    const ids = [...(await parked([limited(queue, queue)])), ...(await parked([limited(queue, queue)]))];
    const [silent] = await claim(queue);
    await database.pool.query(
      'update workflow_tasks set lease_until = clock_timestamp() where step_execution_id = $1',
      [silent!.id],
    );
    await database.pool.query(
      `update pgboss.job set start_after = now() where data ->> 'step_id' = $1 and data ->> 'kind' = 'task_lease'`,
      [silent!.id],
    );
    for (const _ of ids) await complete((await claim(queue))[0]!);
    for (const id of ids) expect((await engine.end(id)).status).toBe('completed');
  });

  test('is claimed as often as its limit says at most, by many workers at two engines', async () => {
    const queue = randomUUID();
    const ids = await parked(Array.from({ length: 24 }, () => limited(queue, queue, 3)));
    const seen: number[] = [];
    let done = 0;
    const work = async (calls: TestEngine) => {
      while (done < ids.length) {
        for (const task of await claim(queue, { max: 2, wait: '200ms' }, calls)) {
          const { rows } = await database.pool.query(
            'select count(*)::integer as held from workflow_tasks where queue = $1 and token is not null',
            [queue],
          );
          seen.push(rows[0].held);
          await complete(task, calls);
          done += 1;
        }
      }
    };
    await Promise.all(Array.from({ length: 6 }, (_, at) => work(engines[at % 2]!)));
    expect(seen).toHaveLength(ids.length);
    expect(Math.max(...seen)).toBeLessThanOrEqual(3);
    for (const id of ids) expect((await engine.end(id)).status).toBe('completed');
  });

  test('goes to nobody when its grant is gone before the claim is committed, and to the next worker', async () => {
    const queue = randomUUID();
    const [id] = await parked([limited(queue, queue)]);
    await database.pool.query(`
      create function lose_grants() returns trigger language plpgsql as
        $$begin new.ends_at := now() - interval '1 second'; return new; end$$;
      create trigger lose_grants before insert or update on workflow_step_grants
        for each row when (not new.claimed) execute function lose_grants()`);
    try {
      expect(await claim(queue, { wait: 0 })).toEqual([]);
    } finally {
      await database.pool.query('drop function lose_grants cascade');
    }
    const [task] = await claim(queue);
    await complete(task!);
    expect((await engine.end(id!)).status).toBe('completed');
  });
});
