/**
 * The client with what waits: signals, steps, forms and tasks of a started engine.
 */
import { describe, expect, test } from 'bun:test';
import { randomUUID } from 'node:crypto';
import { type EngineClient, EngineProblem } from '../../../client/engine-client.ts';
import type { JsonObject } from '../../../core/json/json.ts';
import { stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { until } from '../../support/until.ts';

let engine: TestEngine;
let client: EngineClient;

fixtureForAll(async (made) => {
  await made.database();
  engine = await made.engine();
  client = engine.client;
});

const FORM = { type: 'form', with: { title: 'May we?', assignees: ['ada', 'grace'] } };

/** Starts an execution of one step; returns it once that waits, with the step's id. */
async function waiting(step: JsonObject): Promise<{ id: string; stepId: string }> {
  const id = await engine.start(await engine.publish({ steps: { step } }));
  await until(async () => (await client.status(id)).steps[0]?.status === 'waiting');
  return { id, stepId: stepOf(await client.status(id), 'step').id };
}

const codeOf = async (call: Promise<unknown>) => {
  const error = await call.catch((thrown: unknown) => thrown);
  return error instanceof EngineProblem ? error.code : error;
};

describe('a client', () => {
  test('sends a signal, once for each signal_id', async () => {
    const { id } = await waiting({ type: 'wait', with: { signal: 'paid' } });
    const signal = { execution_id: id, signal: 'paid', payload: { amount: 3 }, signal_id: 'one' };
    expect(await client.signal(signal)).toMatchObject({ execution_id: id, duplicate: false });
    expect((await engine.end(id)).outputs).toEqual({ step: { amount: 3 } });
    expect(await client.signal(signal)).toMatchObject({ duplicate: true });
  });

  test('finds a form in the inbox, reads its step, and answers it', async () => {
    const { id, stepId } = await waiting(FORM);
    const { data } = await client.listForms({ assignee: 'ada' });
    expect(data.find(({ step_id }) => step_id === stepId)).toMatchObject({
      title: 'May we?',
      execution_id: id,
    });
    expect(await client.getStep(stepId)).toMatchObject({ id: stepId, waiting_for: { kind: 'form' } });
    expect(await codeOf(client.completeStep(stepId, { output: 1, user_id: 'eve' }))).toBe('forbidden');
    const done = await client.completeStep(stepId, { output: { ok: true }, user_id: 'ada' });
    expect(done).toEqual({ id: stepId, execution_id: id, key: 'step', status: 'completed' });
    expect((await engine.end(id)).outputs).toEqual({ step: { ok: true } });
    expect((await client.getStep(stepId)).attempts).toMatchObject([{ attempt: 1, outcome: 'completed' }]);
  });

  test('rejects a form, and fails a step that waits', async () => {
    const form = await waiting(FORM);
    expect(await client.failStep(form.stepId, { user_id: 'grace' })).toMatchObject({ status: 'failed' });
    expect((await engine.end(form.id)).error).toMatchObject({ code: 'rejected' });
    const task = await waiting({ type: 'task', with: { queue: randomUUID() } });
    await client.failStep(task.stepId, { error: { code: 'no', message: 'never' } });
    expect((await engine.end(task.id)).error).toMatchObject({ code: 'no' });
  });

  test('claims tasks, keeps them, and ends them', async () => {
    const queue = randomUUID();
    const step = { type: 'task', with: { queue, input: 7 }, retry: { limit: 1, delay: 0 } };
    const { id, stepId } = await waiting(step);
    const [task] = await client.claimTasks({ queue, worker: 'one', wait: '30s' });
    expect(task).toMatchObject({ id: stepId, input: 7, attempt: 1, lease_seconds: 60 });
    expect(await client.heartbeatTask(stepId, task!.token)).toEqual({ id: stepId, lease_seconds: 60 });
    const failure = { error: { code: 'no', message: 'not now' }, retryable: true };
    await client.failTask(stepId, task!.token, failure);
    const [again] = await client.claimTasks({ queue, worker: 'two', wait: '30s', max: 5 });
    expect(await codeOf(client.completeTask(stepId, task!.token, 1))).toBe('stale_token');
    expect(await client.completeTask(stepId, again!.token, 8)).toMatchObject({ status: 'completed' });
    expect((await engine.end(id)).outputs).toEqual({ step: 8 });
    expect(await client.claimTasks({ queue, worker: 'one' })).toEqual([]);
  });

  test('gives up a claim when its signal says so', async () => {
    const stop = new AbortController();
    const claim = client.claimTasks({
      queue: randomUUID(),
      worker: 'one',
      wait: '60s',
      signal: stop.signal,
    });
    stop.abort(new Error('enough'));
    await expect(claim).rejects.toThrow('enough');
  });
});
