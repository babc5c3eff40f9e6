/**
 * Incidents: steps whose retries are used up pause their execution, until somebody decides.
 */
import { expect, test } from 'bun:test';
import type { JsonObject } from '../../../core/json/json.ts';
import { readActs } from '../../../db/acts/acts.ts';
import { type EngineDatabase, statuses, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

let database: EngineDatabase;
/** Two engines: one runs what the other changes. */
let engine: TestEngine;
let other: TestEngine;

fixtureForAll(async (own) => {
  database = await own.database();
  engine = await own.engine({ name: 'one' });
  other = await own.engine({ name: 'two' });
});

/** Fails so often, and then completes. */
const flaky = (failures: number, more: JsonObject = {}): JsonObject => ({
  type: 'flaky',
  with: { failures, retryable: true },
  ...more,
});
const isPaused = (id: string) =>
  database.until(`select status = 'paused' from workflow_executions where id = $1`, [id]);

interface Group {
  id: string;
  count: number;
  [field: string]: unknown;
}

async function groupsOf(template: string): Promise<Group[]> {
  const { data } = await other.client.listIncidents({ limit: 500 });
  return data.filter((group) => group.template === template) as unknown as Group[];
}

const decide = (id: string, act: string, body: JsonObject = {}) =>
  other.request('POST', `/admin/incidents/${id}/${act}`, body);

test('a step whose retries are used up pauses its execution, and is tried again with all of them', async () => {
  const template = await engine.publish({
    onExhausted: 'pause',
    steps: { a: flaky(3, { retry: { limit: 1, delay: '1ms' } }), b: { type: 'noop', needs: ['a'] } },
  });
  const id = await engine.start(template);
  await isPaused(id);
  const [group] = await groupsOf(template);
  const held = await other.client.status(id);
  expect(statuses(held)).toEqual({ a: 'retrying' });
  expect(stepOf(held, 'a')).toMatchObject({
    attempt_count: 2,
    resume_at: null,
    error: { code: 'flaky' },
    waiting_for: { kind: 'incident', id: group!.id },
  });
  expect(group).toMatchObject({ template, step: 'a', code: 'flaky', message: 'not yet', count: 1 });
  expect(group!.examples).toMatchObject([
    { execution_id: id, step_id: stepOf(held, 'a').id, message: 'not yet' },
  ]);
  expect((await other.request('POST', '/api/v1/execution/resume', { execution_id: id })).body.status).toBe(
    'running',
  );
  const end = await engine.end(id);
  expect(end.status).toBe('completed');
  expect(stepOf(end, 'a').attempt_count).toBe(4);
  expect(await groupsOf(template)).toEqual([]);
});

test('a group is decided as a whole: tried again or failed, some at a time', async () => {
  const template = await engine.publish({
    steps: {
      a: flaky(1, { onExhausted: 'pause' }),
      b: { type: 'noop', needs: [{ step: 'a', on: 'failure' }] },
    },
  });
  const ids = await Promise.all([1, 2, 3].map(() => engine.start(template)));
  for (const id of ids) await isPaused(id);
  const [group] = await groupsOf(template);
  expect(group!.count).toBe(3);
  const dry = await decide(group!.id, 'fail', { dry_run: true });
  expect(dry.body).toMatchObject({ dry_run: true, matched: 3, changed: 3, refused: [], more: false });
  const one = await decide(group!.id, 'fail', { limit: 1 });
  expect(one.body).toEqual({ matched: 1, changed: 1, refused: [], more: true, next_cursor: null });
  expect((await decide(group!.id, 'resume')).body).toMatchObject({ matched: 2, changed: 2, more: false });
  const ends = await Promise.all(ids.map((id) => engine.end(id)));
  expect(ends.map(({ status }) => status)).toEqual(['completed', 'completed', 'completed']);
  expect(ends.map((end) => stepOf(end, 'a').status).sort()).toEqual(['completed', 'completed', 'failed']);
  expect((await decide(group!.id, 'resume')).body.code).toBe('incident_not_found');
});

test('a failure that is made final ends the execution as it would have', async () => {
  const template = await engine.publish({ onExhausted: 'pause', steps: { a: flaky(9), b: flaky(9) } });
  const id = await engine.start(template);
  await database.until(`select count(*) = 2 from workflow_incidents where workflow_execution_id = $1`, [id]);
  const group = (await groupsOf(template)).find(({ step }) => step === 'a')!;
  await decide(group.id, 'fail');
  const end = await engine.end(id);
  expect(end).toMatchObject({ status: 'failed', error: { code: 'flaky', step: 'a' } });
  expect(statuses(end)).toEqual({ a: 'failed', b: 'cancelled' });
  expect(await groupsOf(template)).toEqual([]);
  expect((await readActs(database.pool, id)).map(({ act }) => act)).toEqual(['fail']);
});

test('the word of the definition is for failures that nothing handles, and not for steps that say fail', async () => {
  const template = await engine.publish({
    onExhausted: 'pause',
    onFailure: 'continue',
    steps: {
      handled: flaky(9),
      handler: { type: 'noop', needs: [{ step: 'handled', on: 'failure' }] },
      own: flaky(9, { onExhausted: 'fail' }),
    },
  });
  const id = await engine.start(template);
  expect(statuses(await engine.end(id))).toEqual({ handled: 'failed', handler: 'completed', own: 'failed' });
});

test('a pause by hand holds an execution beyond its incidents', async () => {
  const template = await engine.publish({ onExhausted: 'pause', steps: { a: flaky(1) } });
  const id = await engine.start(template);
  await isPaused(id);
  await other.request('POST', '/api/v1/execution/pause', { execution_id: id });
  expect(stepOf(await engine.client.status(id), 'a').waiting_for).toEqual({ kind: 'paused', by: null });
  const [group] = await groupsOf(template);
  await decide(group!.id, 'resume');
  expect((await engine.client.status(id)).status).toBe('paused');
  await other.request('POST', '/api/v1/execution/resume', { execution_id: id });
  expect((await engine.end(id)).status).toBe('completed');
});

test.each([['stop'], ['cancel'], ['timeout']])('a %s closes the incidents of an execution', async (how) => {
  const timeout = how === 'timeout' ? { timeout: '400ms' } : {};
  const template = await engine.publish({ ...timeout, onExhausted: 'pause', steps: { a: flaky(9) } });
  const id = await engine.start(template);
  await isPaused(id);
  if (how === 'stop') await engine.request('POST', '/api/v1/execution/stop', { execution_id: id });
  if (how === 'cancel') await engine.request('POST', `/admin/executions/${id}/cancel`, {});
  expect((await engine.end(id)).status).toBe(how === 'timeout' ? 'timed_out' : 'cancelled');
  expect(await groupsOf(template)).toEqual([]);
});

test('what cannot be is refused when it is published', async () => {
  const inner = {
    type: 'foreach',
    with: { items: [1], steps: { a: { type: 'noop', onExhausted: 'pause' } } },
  };
  const { body } = await engine.request('POST', '/api/v1/templates', {
    name: 'odd',
    onExhausted: 'wait',
    steps: { each: inner },
  });
  expect(
    (body.errors as { pointer: string; code: string }[]).map(({ pointer, code }) => [pointer, code]),
  ).toEqual([
    ['/onExhausted', 'invalid_value'],
    ['/steps/each/with/steps/a/onExhausted', 'invalid_value'],
  ]);
});
