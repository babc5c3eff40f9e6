/**
 * Steps that wait for an answer of the outside: read, completed and failed over HTTP, by any engine, once.
 */
import { describe, expect, test } from 'bun:test';
import { randomUUID } from 'node:crypto';
import { chance } from '../../../chaos/chance.ts';
import { PostgresProxy } from '../../../chaos/stage/proxy.ts';
import type { JsonObject } from '../../../core/json/json.ts';
import { answeringEngines } from '../../support/api/answering-engines.ts';
import {
  type EngineCalls,
  type EngineDatabase,
  statuses,
  stepOf,
  type TestEngine,
} from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

const SECRET = 'a-secret-of-the-operator';

let database: EngineDatabase;
let engines: readonly TestEngine[];
let engine: TestEngine;
let stranger: EngineCalls;

const fixture = fixtureForAll(async (made) => {
  ({ database, engines, stranger } = await answeringEngines(made, { secrets: { TOKEN: SECRET } }));
  engine = engines[0]!;
});

const ASKS = {
  steps: { ask: { type: 'asks', with: { title: 'May we?' } }, after: { type: 'record', needs: ['ask'] } },
};

/** Starts an execution; returns it with the id of its step once that waits. */
async function asking(definition: JsonObject = ASKS, key = 'ask'): Promise<{ id: string; stepId: string }> {
  const id = await engine.start(await engine.publish(definition));
  return { id, stepId: await waitingStep(id, key) };
}

async function waitingStep(id: string, key: string): Promise<string> {
  const { step } = await database.until(
    `select count(*) = 1, min(s.id::text) as step
       from workflow_step_executions s join workflow_step_templates t on t.id = s.step_template_id
      where s.workflow_execution_id = $1 and t.key = $2 and s.status = 'waiting'`,
    [id, key],
  );
  return String(step);
}

const complete = (stepId: string, output: unknown, calls: EngineCalls = engine) =>
  calls.request('POST', `/api/v1/steps/${stepId}/complete`, { output });
const fail = (stepId: string, retryable?: boolean) =>
  engine.request('POST', `/api/v1/steps/${stepId}/fail`, {
    error: { code: 'rejected', message: 'The amount is too high.' },
    ...(retryable === undefined ? {} : { retryable }),
  });

describe('a step that waits for an answer', () => {
  test('says in the status and by itself what it waits for', async () => {
    const { id, stepId } = await asking();
    const waitingFor = { kind: 'form', title: 'May we?' };
    const status = await engine.client.status(id);
    expect(stepOf(status, 'ask')).toMatchObject({
      status: 'waiting',
      waiting_for: waitingFor,
      resume_at: null,
    });
    expect(status.progress).toMatchObject({ total: 2, waiting: 2 });
    const { status: code, body } = await engine.request('GET', `/api/v1/steps/${stepId}`);
    expect(code).toBe(200);
    expect(body).toMatchObject({
      id: stepId,
      execution_id: id,
      key: 'ask',
      type: 'asks',
      scope: '',
      status: 'waiting',
      waiting_for: waitingFor,
      outputs: null,
      received_inputs: [],
      attempts: [{ attempt: 1, outcome: null, error: null, ended_at: null, usage: null, turns: [] }],
    });
    await engine.client.cancel(id);
  });

  test('is completed with an output, and the execution goes on', async () => {
    const { id, stepId } = await asking({ ...ASKS, output: '${{ steps.ask.output.yes }}' });
    const { status, body } = await complete(stepId, { yes: [1, 'two', null] });
    expect({ status, body }).toEqual({
      status: 200,
      body: { id: stepId, execution_id: id, key: 'ask', status: 'completed' },
    });
    const end = await engine.end(id);
    expect(end).toMatchObject({ status: 'completed', outputs: [1, 'two', null] });
    expect(stepOf(end, 'ask')).toMatchObject({ attempt_count: 1, waiting_for: null });
    const after = stepOf(end, 'after').id;
    expect((await engine.request('GET', `/api/v1/steps/${after}`)).body).toMatchObject({
      received_inputs: [{ key: 'ask', live: true, route: null }],
      outputs: null,
    });
    expect((await database.runs(id)).map(({ step }) => step)).toEqual(['ask', 'after']);
  });

  test('that was never completed with a value has null as its output', async () => {
    const { id, stepId } = await asking();
    expect((await engine.request('POST', `/api/v1/steps/${stepId}/complete`, {})).status).toBe(200);
    expect((await engine.end(id)).status).toBe('completed');
    expect((await engine.request('GET', `/api/v1/steps/${stepId}`)).body).toMatchObject({ outputs: null });
  });

  test('is failed for good, whatever retries it has', async () => {
    const { id, stepId } = await asking({ steps: { ask: { type: 'asks', retry: { limit: 3 } } } });
    expect((await fail(stepId)).body).toMatchObject({ status: 'failed' });
    expect(await engine.end(id)).toMatchObject({
      status: 'failed',
      error: { code: 'rejected', step: 'ask' },
    });
  });

  test('is tried again after a failure that may be retried, and then takes another answer', async () => {
    const { id, stepId } = await asking({
      steps: { ask: { type: 'asks_worker', retry: { limit: 1, delay: 0, jitter: false } } },
    });
    expect((await fail(stepId, true)).status).toBe(200);
    await database.until(
      `select status = 'waiting' and attempt_count = 2 from workflow_step_executions where id = $1`,
      [stepId],
    );
    expect((await complete(stepId, 'yes')).status).toBe(200);
    const end = await engine.end(id);
    expect([end.outputs, stepOf(end, 'ask').attempt_count]).toEqual([{ ask: 'yes' }, 2]);
  });

  test('ends at its timeout, given among its parameters, also by an expression, and may be retried', async () => {
    const steps = { ask: { type: 'asks', with: { timeout: '20ms' }, retry: { limit: 1, delay: 0 } } };
    const written = await engine.run({ steps });
    expect(written.error).toMatchObject({ code: 'timeout', step: 'ask' });
    expect(stepOf(written, 'ask').attempt_count).toBe(2);
    const evaluated = await engine.run(
      { steps: { ask: { type: 'asks', with: { timeout: '${{ input.ms }}' } } } },
      { inputs: { ms: 20 } },
    );
    expect(evaluated.error).toMatchObject({ code: 'timeout', step: 'ask' });
  });

  test('with two timeouts is not published', async () => {
    const definition = {
      name: 'two-timeouts',
      steps: { ask: { type: 'asks', timeout: '1m', with: { timeout: '2m' } } },
    };
    const { status, body } = await engine.request('POST', '/api/v1/templates', definition);
    expect(status).toBe(422);
    expect(body.errors).toMatchObject([{ pointer: '/steps/ask/timeout', code: 'invalid_value' }]);
  });

  test.each(['stop', 'cancel'] as const)(
    'is cancelled by a %s at once, and takes no answer then',
    async (how) => {
      const { id, stepId } = await asking();
      await engine.client[how](id);
      expect(statuses(await engine.end(id))).toEqual({ ask: 'cancelled', after: 'cancelled' });
      expect((await complete(stepId, 1)).body).toMatchObject({ status: 409, code: 'wrong_state' });
    },
  );

  test('whose type does not declare what it waits for fails', async () => {
    const end = await engine.run({ steps: { ask: { type: 'asks_wrongly' } } });
    expect(end.error).toMatchObject({ code: 'invalid_pause', step: 'ask' });
  });

  test('stays what it is through a restart of all engines', async () => {
    const other = await fixture.database();
    const first = await fixture.engine({ url: other.url });
    const id = await first.start(await first.publish(ASKS));
    await other.until(`select count(*) = 1 from workflow_step_executions where status = 'waiting'`);
    await first.stop();
    const second = await fixture.engine({ url: other.url });
    const { id: stepId } = stepOf(await second.client.status(id), 'ask');
    expect((await complete(stepId, 'late', second)).status).toBe(200);
    expect((await second.end(id)).status).toBe('completed');
  });
});

describe('an answer', () => {
  test('to a step that is unknown, or of another workspace, is 404', async () => {
    const { id, stepId } = await asking();
    for (const [calls, wanted] of [
      [engine, randomUUID()],
      [stranger, stepId],
    ] as const) {
      const answers = [
        await calls.request('GET', `/api/v1/steps/${wanted}`),
        await complete(wanted, 1, calls),
      ];
      for (const { status, body } of answers) expect([status, body.code]).toEqual([404, 'step_not_found']);
    }
    expect((await engine.request('GET', '/api/v1/steps/no-id')).status).toBe(422);
    await engine.client.cancel(id);
  });

  test('to a step that waits for a time, or for nothing, is 409', async () => {
    const id = await engine.start(
      await engine.publish({ steps: { ask: { type: 'delay', with: { for: '1h' } } } }),
    );
    const stepId = await waitingStep(id, 'ask');
    for (const { body } of [await complete(stepId, 1), await fail(stepId)])
      expect(body).toMatchObject({ status: 409, code: 'force_required' });
    expect(stepOf(await engine.client.status(id), 'ask').waiting_for).toMatchObject({ kind: 'timer' });
    await engine.client.cancel(id);
    const done = await engine.run({ steps: { ask: { type: 'record' } } });
    expect((await complete(stepOf(done, 'ask').id, 1)).body).toMatchObject({ code: 'wrong_state' });
  });

  test('that cannot be stored is 422 and leaves the step waiting', async () => {
    const { id, stepId } = await asking();
    const large = await complete(stepId, 'x'.repeat(1_100_000));
    expect([large.status, large.body.code]).toEqual([422, 'not_storable']);
    expect((await complete(stepId, 'a\u0000b')).status).toBe(422);
    for (const body of [{ output: 1, more: 2 }, { error: { code: '', message: 'x' } }])
      expect((await engine.request('POST', `/api/v1/steps/${stepId}/fail`, body)).status).toBe(422);
    expect((await complete(stepId, 'small')).status).toBe(200);
    await engine.end(id);
  });

  test('is masked like every output and error', async () => {
    const { id, stepId } = await asking();
    await complete(stepId, { token: `it is ${SECRET}` });
    const end = await engine.end(id);
    expect(JSON.stringify(end)).not.toContain(SECRET);
    expect(stepOf(end, 'ask').outputs).toEqual({ token: 'it is ***' });
    const failed = await asking({ steps: { ask: { type: 'asks_worker' } } });
    await engine.request('POST', `/api/v1/steps/${failed.stepId}/fail`, {
      error: { code: 'no', message: `not ${SECRET}`, details: [SECRET] },
    });
    expect(stepOf(await engine.end(failed.id), 'ask').error).toEqual({
      code: 'no',
      message: 'not ***',
      details: ['***'],
    });
  });

  test('counts once, whoever gives it: of many at once, through two engines, one is taken', async () => {
    for (let round = 0; round < 5; round += 1) {
      const { id, stepId } = await asking();
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, at) => complete(stepId, at, engines[at % 2]!)),
      );
      const taken = answers.flatMap(({ status }, at) => (status === 200 ? at : []));
      expect(taken).toHaveLength(1);
      expect(answers.filter(({ body }) => body.code === 'wrong_state')).toHaveLength(19);
      expect(stepOf(await engine.end(id), 'ask').outputs).toEqual(taken[0]!);
    }
  });

  test('reaches a step inside a scope', async () => {
    const id = await engine.start(
      await engine.publish({
        steps: { each: { type: 'foreach', with: { items: 2, steps: { ask: { type: 'asks' } } } } },
      }),
    );
    await database.until(
      `select count(*) = 2 from workflow_step_executions
        where workflow_execution_id = $1 and status = 'waiting' and scope <> ''`,
      [id],
    );
    const { rows } = await database.pool.query(
      `select id, scope from workflow_step_executions where workflow_execution_id = $1 and scope <> '' order by scope`,
      [id],
    );
    for (const [at, row] of rows.entries()) {
      expect((await engine.request('GET', `/api/v1/steps/${row.id}`)).body).toMatchObject({
        scope: row.scope,
      });
      expect((await complete(row.id, at, engines[at % 2])).status).toBe(200);
    }
    expect((await engine.end(id)).outputs).toEqual({ each: [{ ask: 0 }, { ask: 1 }] });
  });

  test('is taken by an engine that has never seen the execution, or has seen it long before', async () => {
    const { id, stepId } = await asking({
      steps: { ask: { type: 'asks' }, again: { type: 'asks', needs: ['ask'] } },
    });
    expect((await complete(stepId, 1, engines[1])).status).toBe(200);
    const second = await waitingStep(id, 'again');
    expect((await complete(second, 2, engines[0])).status).toBe(200);
    expect((await engine.end(id)).outputs).toEqual({ again: 2 });
  });
});

test('an answer whose commit was not confirmed is confirmed to its sender, and to no other', async () => {
  const other = await fixture.database();
  const target = new URL(other.url);
  const proxy = await fixture.use(
    PostgresProxy.listen(() => Number(target.port), chance(3, 'eaten answers of steps')),
    (made) => made.close(),
  );
  const url = new URL(other.url);
  url.hostname = '127.0.0.1';
  url.port = String(proxy.port);
  const eaten = await fixture.engine({ url: url.href, recordsUrl: other.url });
  const template = await eaten.publish(ASKS);
  const waiting: { id: string; stepId: string }[] = [];
  for (let at = 0; at < 20; at += 1) {
    const id = await eaten.start(template);
    await other.until(`select count(*) = $1 from workflow_step_executions where status = 'waiting'`, [
      at + 1,
    ]);
    waiting.push({ id, stepId: stepOf(await eaten.client.status(id), 'ask').id });
  }
  proxy.faults.eat = 0.5;
  const told: unknown[] = [];
  // One after the other, so that each is a commit of its own.
  for (const { stepId } of waiting) {
    const answers = await Promise.all(['one', 'two'].map((output) => complete(stepId, output, eaten)));
    told.push(answers.map(({ status }) => status));
  }
  expect(proxy.counts.eaten).toBeGreaterThan(4);
  proxy.faults.eat = 0;
  for (const [at, { id }] of waiting.entries()) {
    const output = stepOf(await eaten.end(id), 'ask').outputs;
    expect(told[at]).toEqual(output === 'one' ? [200, 409] : [409, 200]);
  }
});
