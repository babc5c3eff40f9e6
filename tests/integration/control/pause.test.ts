/**
 * Pause and resume: nothing begins in a paused execution, its scopes and its children, and everything goes on after it.
 */
import { expect, test } from 'bun:test';
import type { JsonObject } from '../../../core/json/json.ts';
import { readActs } from '../../../db/acts/acts.ts';
import { type EngineDatabase, statuses, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

let database: EngineDatabase;
/** Two engines: each pauses what runs on the other. */
let engine: TestEngine;
let other: TestEngine;

fixtureForAll(async (own) => {
  database = await own.database();
  engine = await own.engine({ name: 'one' });
  other = await own.engine({ name: 'two' });
});

/** Runs until its gate is opened. */
const gated = (gate: string, more: JsonObject = {}) => ({
  type: 'interval',
  with: { note: gate, gate },
  ...more,
});

const pause = (id: string, by = engine) =>
  by.request('POST', '/api/v1/execution/pause', { execution_id: id });
const resume = (id: string, by = engine) =>
  by.request('POST', '/api/v1/execution/resume', { execution_id: id });

/** Polls until steps of the execution have the status, in any scope. */
const steps = (id: string, status: string, count: number) =>
  database.until(
    'select count(*) = $3 from workflow_step_executions where workflow_execution_id = $1 and status = $2',
    [id, status, count],
  );

test('a running step finishes, what follows stays queued, and goes on after the resume', async () => {
  const template = await engine.publish({
    steps: { a: gated('finishes'), b: { type: 'noop', needs: ['a'] } },
  });
  const id = await engine.start(template);
  await steps(id, 'running', 1);
  expect(await pause(id)).toEqual({ status: 200, body: { execution_id: id, status: 'paused' } });
  expect(await pause(id, other)).toEqual({ status: 200, body: { execution_id: id, status: 'paused' } });
  await database.openGate('finishes');
  await steps(id, 'queued', 1);
  const held = await engine.client.status(id);
  expect(held).toMatchObject({ status: 'paused', paused_by: null });
  expect(statuses(held)).toEqual({ a: 'completed', b: 'queued' });
  expect(stepOf(held, 'b').waiting_for).toEqual({ kind: 'paused', by: null });
  expect(await resume(id, other)).toEqual({ status: 200, body: { execution_id: id, status: 'running' } });
  expect((await engine.end(id)).status).toBe('completed');
  const acts = await readActs(database.pool, id);
  expect(acts.map(({ act, statusAfter }) => [act, statusAfter])).toEqual([
    ['pause', 'paused'],
    ['resume', 'running'],
  ]);
});

test('timers and answers take effect while it is paused, and it may end so', async () => {
  const template = await engine.publish({
    steps: {
      late: { type: 'delay', with: { for: '50ms' } },
      signal: { type: 'wait', with: { signal: 'go' } },
      slow: { type: 'wait', with: { signal: 'never', timeout: '60ms' } },
      after: { type: 'noop', needs: [{ step: 'slow', on: 'failure' }], when: false },
    },
  });
  const id = await engine.start(template);
  await steps(id, 'waiting', 3);
  await pause(id, other);
  expect((await engine.client.signal({ execution_id: id, signal: 'go' })).status).toBe('paused');
  await database.until(
    `select count(*) filter (where status = 'queued') = 2 and count(*) filter (where status = 'completed') = 1
       from workflow_step_executions where workflow_execution_id = $1`,
    [id],
  );
  expect(statuses(await engine.client.status(id))).toEqual({
    late: 'queued',
    signal: 'completed',
    slow: 'failed',
    after: 'queued',
  });
  await resume(id);
  expect((await engine.end(id)).status).toBe('completed');

  const ending = await engine.start(await engine.publish({ steps: { last: gated('last') } }));
  await steps(ending, 'running', 1);
  await pause(ending);
  await database.openGate('last');
  expect((await engine.end(ending)).status).toBe('completed');
});

test.each([['stop'], ['cancel'], ['timeout']])('a paused execution ends by a %s', async (how) => {
  const timeout = how === 'timeout' ? { timeout: '300ms' } : {};
  const template = await engine.publish({
    ...timeout,
    steps: { a: { type: 'wait', with: { signal: 'never' } }, b: { type: 'noop', needs: ['a'] } },
  });
  const id = await engine.start(template);
  await steps(id, 'waiting', 1);
  await pause(id);
  if (how === 'stop') await engine.request('POST', '/api/v1/execution/stop', { execution_id: id });
  if (how === 'cancel') await engine.request('POST', `/admin/executions/${id}/cancel`, {});
  const end = await engine.end(id);
  expect(end).toMatchObject({ status: how === 'timeout' ? 'timed_out' : 'cancelled', paused_by: null });
  expect((await pause(id)).body.code).toBe('wrong_state');
  expect((await resume(id)).body.code).toBe('wrong_state');
});

test('a pending execution may be paused, and is pending again after the resume', async () => {
  const template = await engine.publish({ steps: { a: { type: 'noop' } } });
  const id = await engine.start(template, { start_after: '1s' });
  expect((await pause(id, other)).body).toEqual({ execution_id: id, status: 'paused' });
  // Its start is due meanwhile.
  await database.until('select start_after is null from workflow_executions where id = $1', [id]);
  expect((await engine.client.status(id)).status).toBe('paused');
  expect(['pending', 'running', 'completed']).toContain(String((await resume(id)).body.status));
  expect((await engine.end(id)).status).toBe('completed');

  const far = await engine.start(template, { start_after: '1h' });
  await pause(far);
  expect((await resume(far, other)).body).toEqual({ execution_id: far, status: 'pending' });
  await engine.request('POST', `/admin/executions/${far}/cancel`, {});
});

test('scopes stand still, and open and begin nothing until the resume', async () => {
  const template = await engine.publish({
    steps: {
      each: {
        type: 'foreach',
        with: {
          items: [0, 1, 2, 3, 4, 5],
          concurrency: 2,
          steps: {
            a: gated('scopes'),
            inner: {
              type: 'foreach',
              needs: ['a'],
              with: { items: [0, 1, 2], concurrency: 2, steps: { b: gated('inner') } },
            },
          },
        },
      },
    },
  });
  const id = await engine.start(template);
  await steps(id, 'running', 2);
  await pause(id, other);
  await database.openGate('scopes');
  // Both `inner` are ready, and nothing takes them.
  await steps(id, 'queued', 2);
  const held = await engine.request('GET', `/api/v1/execution/status?execution_id=${id}&scope=each[0]`);
  expect(held.body.steps).toMatchObject([
    { key: 'a', status: 'completed' },
    { key: 'inner', status: 'queued', waiting_for: { kind: 'paused', by: null } },
  ]);
  await resume(id);
  await steps(id, 'running', 4);
  await pause(id);
  await database.openGate('inner');
  // The scopes end, and their holders open no others.
  await database.until(
    `select count(*) = 0 from workflow_step_executions where workflow_execution_id = $1 and status = 'running'`,
    [id],
  );
  await database.until(
    `select count(*) = 2 and sum(open_count) = 0 from workflow_held_scopes h
       join workflow_step_executions s on s.id = h.step_execution_id
      where s.workflow_execution_id = $1 and s.scope <> ''`,
    [id],
  );
  await resume(id, other);
  expect((await engine.end(id)).status).toBe('completed');
});

test('children are paused with their parent, and only those go on with it', async () => {
  const grandchild = await engine.publish({
    steps: { c: gated('grandchild'), d: { type: 'noop', needs: ['c'] } },
  });
  const child = await engine.publish({
    steps: { b: { type: 'workflow', with: { name: grandchild } } },
  });
  const template = await engine.publish({
    steps: {
      each: {
        type: 'foreach',
        with: {
          items: [0, 1],
          concurrency: 2,
          steps: { a: { type: 'workflow', with: { name: child } } },
        },
      },
      alone: { type: 'workflow', with: { name: grandchild } },
      free: { type: 'workflow', with: { name: grandchild, wait: false } },
    },
  });
  const id = await engine.start(template);
  await database.until(
    `select count(distinct e.id) = 6 and count(*) filter (where s.status = 'running') = 4
       from workflow_executions e join workflow_step_executions s on s.workflow_execution_id = e.id
      where e.root_execution_id = $1`,
    [id],
  );
  const { rows } = await database.pool.query(
    `select id, parent_execution_id as parent, is_awaited from workflow_executions where root_execution_id = $1`,
    [id],
  );
  const own = rows.find(({ parent, is_awaited }) => parent === id && is_awaited)!.id;
  await pause(own, other);
  await pause(id);
  await database.until(
    `select count(*) = 5 from workflow_executions where root_execution_id = $1 and status = 'paused'`,
    [id],
  );
  const free = rows.find(({ is_awaited }) => !is_awaited)!.id;
  expect((await engine.client.status(free)).status).toBe('running');
  expect((await engine.client.status(own)).paused_by).toBe(null);
  const below = rows.find(({ parent }) => parent !== id)!;
  expect((await engine.client.status(below.id)).paused_by).toBe(below.parent);
  expect(await resume(below.id)).toMatchObject({ status: 409, body: { code: 'paused_by_parent' } });
  await database.openGate('grandchild');
  await resume(id, other);
  await database.until(
    `select count(*) >= 4 from workflow_executions where root_execution_id = $1 and status = 'completed'`,
    [id],
  );
  await resume(own);
  expect((await engine.end(id)).status).toBe('completed');
  expect((await engine.end(free)).status).toBe('completed');
});

test('a task of a paused execution is claimed by nobody', async () => {
  const template = await engine.publish({
    steps: { t: { type: 'task', with: { queue: 'paused-tasks', input: 1 } } },
  });
  const id = await engine.start(template);
  await steps(id, 'waiting', 1);
  await pause(id);
  const claim = () => engine.client.claimTasks({ queue: 'paused-tasks', worker: 'w' });
  expect(await claim()).toEqual([]);
  expect(stepOf(await engine.client.status(id), 't').waiting_for).toEqual({ kind: 'paused', by: null });
  await resume(id, other);
  const [task] = await claim();
  await engine.client.completeTask(task!.id, task!.token, 'done');
  expect((await engine.end(id)).status).toBe('completed');
});

test('calls that cannot be are refused', async () => {
  const unknown = '0197a3c4-5b6d-7e8f-9012-3456789abcde';
  expect((await pause(unknown)).body.code).toBe('execution_not_found');
  expect((await resume(unknown)).body.code).toBe('execution_not_found');
  const odd = await engine.request('POST', '/api/v1/execution/pause', { execution_id: unknown, more: 1 });
  expect([odd.status, odd.body.code]).toEqual([422, 'validation_failed']);
  const id = await engine.start(
    await engine.publish({ steps: { a: { type: 'deaf', with: { name: 'deaf' } } } }),
  );
  await steps(id, 'running', 1);
  await engine.request('POST', '/api/v1/execution/stop', { execution_id: id });
  expect((await pause(id)).body.code).toBe('wrong_state');
  await database.openGate('deaf');
  expect((await engine.end(id)).status).toBe('cancelled');
});
