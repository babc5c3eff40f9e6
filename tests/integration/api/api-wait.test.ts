/**
 * Long polls of the status: they end with the execution, with their time, or with their client, and hold nothing
 * that others need.
 */
import { beforeAll, describe, expect, setDefaultTimeout, spyOn, test } from 'bun:test';
import type { ExecutionStatusBody } from '../../../services/execution-answers.ts';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { until } from '../../support/until.ts';

/** Shorter than the longest wait: a poll that is not answered by the end of its execution fails its test. */
setDefaultTimeout(55_000);

const LONGEST = '60s';
const STATUS = '/api/v1/execution/status';

let database: EngineDatabase;
let engine: TestEngine;
let gates = 0;

const fixture = fixtureForAll(
  async (fixture) => {
    database = await fixture.database();
    engine = await fixture.engine();
  },
  { allFinal: false },
);

/** An execution whose only step runs until its gate is opened. */
async function held(at: TestEngine = engine): Promise<{ id: string; open(): Promise<void> }> {
  const name = `gate-${gates++}`;
  const id = await at.start(await at.publish({ steps: { a: { type: 'gate', with: { name } } } }));
  await database.until('select true from test_runs where execution_id = $1', [id]);
  return { id, open: () => database.openGate(name) };
}

const poll = (id: string, wait: string, at: TestEngine = engine) => at.client.status(id, { wait });

/** Whether a promise has settled by the time another one has. */
function watch(promise: Promise<unknown>): () => boolean {
  let over = false;
  const done = () => {
    over = true;
  };
  promise.then(done, done);
  return () => over;
}

/** How many requests for a status the engine has answered. */
async function answered(): Promise<number> {
  const text = await (await fetch(`${engine.url}/metrics`)).text();
  return text
    .split('\n')
    .filter((line) => line.startsWith('execution_engine_http_request_duration_seconds_count{'))
    .filter((line) => line.includes(`route="${STATUS}"`))
    .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

describe('a wait', () => {
  test('is answered when the execution becomes final, whatever way it ends', async () => {
    const ends: [
      status: string,
      end: (execution: { id: string; open(): Promise<void> }) => Promise<unknown>,
    ][] = [
      ['completed', ({ open }) => open()],
      ['cancelled', ({ id }) => engine.client.cancel(id)],
      ['cancelled', ({ id }) => engine.client.stop(id)],
    ];
    for (const [status, end] of ends) {
      const execution = await held();
      const waiting = poll(execution.id, LONGEST);
      await end(execution);
      expect(await waiting).toMatchObject({ execution_id: execution.id, status });
    }
  });

  test('is answered with outputs when it asks for them', async () => {
    const { id, open } = await held();
    const waiting = engine.client.status(id, { wait: LONGEST, includeOutputs: true });
    await open();
    expect(await waiting).toMatchObject({
      status: 'completed',
      outputs: { a: 'through' },
      steps: [{ outputs: 'through' }],
    });
  });

  test('is answered at once when the execution is final already', async () => {
    const { execution_id } = await engine.run({ steps: { a: { type: 'noop' } } });
    expect((await poll(execution_id, LONGEST)).status).toBe('completed');
  });

  test('is answered with the present state when its time is over', async () => {
    const { id, open } = await held();
    for (const wait of ['0', '0s', '1', '50', '1ms', '20ms']) {
      const status = await poll(id, wait);
      expect(status).toMatchObject({ status: 'running', completed_at: null, outputs: null });
    }
    await open();
    expect((await poll(id, LONGEST)).status).toBe('completed');
  });

  test('on an execution that has not begun is answered when it ends', async () => {
    const template = await engine.publish({ steps: { a: { type: 'noop' } } });
    const soon = await engine.start(template, { start_after: '50ms' });
    expect((await poll(soon, LONGEST)).status).toBe('completed');
    const late = await engine.start(template, { start_after: '1h' });
    const waiting = poll(late, LONGEST);
    await engine.client.cancel(late);
    expect((await waiting).status).toBe('cancelled');
  });

  test('is ended by nobody who may not see the execution', async () => {
    const { id, open } = await held();
    // Asked of the service itself: the wait has begun when the call returns.
    const owner = { workspaceId: null, admin: false };
    const stranger = { workspaceId: 'bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb', admin: false };
    const options = { includeOutputs: false, waitMs: 60_000 };
    const waiting = engine.engine.executions.status(owner, id, options);
    const refused = engine.engine.executions.status(stranger, id, options);
    expect(await refused.catch(({ code }) => code)).toBe('execution_not_found');
    await open();
    expect((await waiting).status).toBe('completed');
  });
});

describe('200 waits at once', () => {
  test('hold no connection and keep no other call from its answer, and end together', async () => {
    const executions = await Promise.all(Array.from({ length: 4 }, () => held()));
    const before = await answered();
    const waits = Array.from({ length: 200 }, (_, at) => poll(executions[at % 4]!.id, LONGEST));
    const over = waits.map(watch);

    const ends = await Promise.all(
      Array.from({ length: 20 }, () =>
        engine.run({ steps: { a: { type: 'noop' }, b: { type: 'noop', needs: ['a'] } } }),
      ),
    );
    expect(ends.map(({ status }) => status)).toEqual(Array(20).fill('completed'));
    expect((await engine.client.listExecutions({ limit: 1 })).data).toHaveLength(1);
    await until(async () => (await fetch(`${engine.url}/health/ready`)).status === 200);
    const { pool } = engine.engine;
    // All of them have looked and found their execution running when no connection is in use.
    await until(() => pool.waitingCount === 0 && pool.idleCount === pool.totalCount);
    expect(pool.totalCount).toBeLessThanOrEqual(10);
    expect(over.filter((isOver) => isOver())).toEqual([]);

    await Promise.all(executions.map(({ open }) => open()));
    const statuses = (await Promise.all(waits)).map(({ status }) => status);
    expect(statuses).toEqual(Array(200).fill('completed'));
    expect(await answered()).toBeGreaterThanOrEqual(before + 200);
  });

  test('whose clients go away are over, and the execution goes on', async () => {
    const { id, open } = await held();
    const before = await answered();
    const asked = spyOn(engine.engine.executions, 'status');
    const leave = new AbortController();
    const waits = Array.from({ length: 200 }, () =>
      engine.client.status(id, { wait: LONGEST, signal: leave.signal }).catch(() => 'gone'),
    );
    const stays = poll(id, LONGEST);
    const stayed = watch(stays);
    await until(() => asked.mock.calls.length >= 201);
    asked.mockRestore();
    leave.abort();
    expect(await Promise.all(waits)).toEqual(Array(200).fill('gone'));
    // Nobody is told, so only the engine can say that its calls are over.
    await until(async () => (await answered()) >= before + 200);
    expect(stayed()).toBe(false);
    await open();
    expect((await stays).status).toBe('completed');
    expect((await engine.run({ steps: { a: { type: 'noop' } } })).status).toBe('completed');
  });
});

describe('a wait at another engine', () => {
  let api: TestEngine;

  beforeAll(async () => {
    api = await fixture.engine({ name: 'api', config: { EXECUTION_ENGINE_ROLE: 'api' } });
  });

  test('than the one that runs the execution is answered when it ends there', async () => {
    const executions = await Promise.all(Array.from({ length: 5 }, () => held()));
    const waits = executions.map(({ id }) => poll(id, LONGEST, api));
    for (const { open } of executions) await open();
    const ends: ExecutionStatusBody[] = await Promise.all(waits);
    expect(ends.map(({ status }) => status)).toEqual(Array(5).fill('completed'));
  });

  test('than the one that starts it, which runs nothing itself', async () => {
    const { id, open } = await held(api);
    const waits = [poll(id, LONGEST, api), poll(id, LONGEST)];
    await open();
    expect((await Promise.all(waits)).map(({ status }) => status)).toEqual(['completed', 'completed']);
    expect((await database.runs(id)).map(({ engine: name }) => name)).toEqual(['main']);
  });

  test('than the one that cancels it is answered', async () => {
    const { id } = await held();
    const waiting = poll(id, LONGEST, api);
    await engine.client.cancel(id);
    expect((await waiting).status).toBe('cancelled');
  });

  test('that is being stopped is answered with the present state', async () => {
    const { id, open } = await held();
    const leaving = await fixture.engine({
      name: 'leaving',
      config: { EXECUTION_ENGINE_ROLE: 'api' },
    });
    const asked = spyOn(leaving.engine.executions, 'status');
    const waiting = Promise.all(Array.from({ length: 10 }, () => poll(id, LONGEST, leaving)));
    await until(() => asked.mock.calls.length >= 10);
    asked.mockRestore();
    await leaving.stop();
    expect((await waiting).map(({ status }) => status)).toEqual(Array(10).fill('running'));
    await open();
    expect((await engine.end(id)).status).toBe('completed');
  });
});
