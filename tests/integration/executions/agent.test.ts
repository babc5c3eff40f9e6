/** Agents in whole engines, before a real server of the chat protocol. */
import { expect, test } from 'bun:test';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Json, JsonObject } from '../../../core/json/json.ts';
import { type EngineDatabase, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { answer, type ChatPeer, chatPeer, type Reply } from '../../support/peers/chat-peer.ts';
import { until } from '../../support/until.ts';

const SECRET = 'violets-are-secret';
const ENGINE_KEY = 'sk-key-of-the-engine';
const CALL: Reply = { message: { tool_calls: [{ id: 'a', function: { name: 'look', arguments: '{}' } }] } };

let database: EngineDatabase;
let engine: TestEngine;
/** Its model's server is the peer. */
let config: Record<string, string>;
let peer: ChatPeer;

const fixture = fixtureForAll(async () => {
  database = await fixture.database();
  peer = await fixture.use(chatPeer());
  const secrets = join(await fixture.folder(), 'secrets.json');
  await writeFile(secrets, JSON.stringify({ SECRET }), { mode: 0o600 });
  config = {
    EXECUTION_ENGINE_LLM_URL: peer.url,
    EXECUTION_ENGINE_LLM_KEY: ENGINE_KEY,
    EXECUTION_ENGINE_SECRETS_FILE: secrets,
  };
  engine = await fixture.engine({ config });
});

/** Publishes it as a program does. */
const publish = (on: Pick<TestEngine, 'client'>, document: JsonObject) =>
  on.client.publish(JSON.stringify(document), 'application/json');

function definition(name: string, params: JsonObject, fields: JsonObject = {}): JsonObject {
  return {
    name,
    steps: { ask: { type: 'agent', with: { model: 'm', prompt: 'Hi', ...params }, ...fields } },
  };
}

interface StoredTurn {
  readonly attempt: number;
  readonly turn: number;
  readonly record: JsonObject;
}

async function turnsOf(executionId: string): Promise<StoredTurn[]> {
  const { rows } = await database.pool.query(
    `select t.attempt, t.turn, t.record from workflow_step_turns t
       join workflow_step_executions s on s.id = t.step_execution_id
      where s.workflow_execution_id = $1 order by t.attempt, t.turn`,
    [executionId],
  );
  return rows;
}

test('an agent gives a text and an object, and its turns are kept with their usage', async () => {
  peer.replies = ['A sonnet.', '{"lines":14}'];
  const { status, outputs, execution_id } = await engine.run(
    {
      name: 'agent-both',
      steps: {
        text: { type: 'agent', with: { model: 'm', prompt: 'Write for ${{ input.name }}' } },
        object: {
          type: 'agent',
          needs: ['text'],
          with: {
            model: 'm',
            prompt: 'Count the lines of ${{ steps.text.output }}',
            schema: { type: 'object', required: ['lines'], properties: { lines: { type: 'integer' } } },
          },
        },
      },
      output: '${{ [steps.text.output, steps.object.output.lines] }}',
    },
    { inputs: { name: 'Ada' } },
  );
  expect([status, outputs]).toEqual(['completed', ['A sonnet.', 14]]);
  const asked = peer.questions.slice(-2);
  expect(asked.map(({ body }) => body.messages as Json)).toEqual([
    [{ role: 'user', content: 'Write for Ada' }],
    [{ role: 'user', content: 'Count the lines of A sonnet.' }],
  ]);
  expect(asked.map(({ headers }) => headers.authorization)).toEqual(Array(2).fill(`Bearer ${ENGINE_KEY}`));
  expect(await turnsOf(execution_id)).toMatchObject([
    { attempt: 1, turn: 1, record: { content: 'A sonnet.', usage: { total_tokens: 10 } } },
    { attempt: 1, turn: 1, record: { content: '{"lines":14}' } },
  ]);
});

test('a busy server is asked again, and each attempt has its own conversation', async () => {
  const busy: Reply = (response) => answer(response, { error: {} }, 429);
  peer.replies = [CALL, busy, 'At last.'];
  const retry = { limit: 2, delay: '1ms' };
  const { status, outputs, execution_id, steps } = await engine.run(definition('agent-busy', {}, { retry }));
  expect([status, outputs]).toEqual(['completed', { ask: 'At last.' }]);
  expect(steps[0]!.attempt_count).toBe(2);
  expect((await turnsOf(execution_id)).map(({ attempt, turn }) => [attempt, turn])).toEqual([
    [1, 1],
    [2, 1],
  ]);
  const { body } = await engine.request('GET', `/api/v1/steps/${steps[0]!.id}`);
  expect(body.attempts).toMatchObject([
    {
      attempt: 1,
      outcome: 'failed',
      error: { code: 'llm_failed' },
      usage: { total_tokens: 10 },
      turns: [{ content: null }],
    },
    { attempt: 2, outcome: 'completed', usage: { total_tokens: 10 }, turns: [{ content: 'At last.' }] },
  ]);
  expect(peer.questions.at(-1)!.body.messages).toEqual([{ role: 'user', content: 'Hi' }]);
});

test('a server that says when to come again is left alone until then', async () => {
  peer.replies = [(response) => answer(response, { error: {} }, 429, { 'retry-after': '3600' })];
  await publish(engine, definition('agent-later', {}, { retry: { limit: 2, delay: '1ms', maxDelay: '2h' } }));
  const id = await engine.start('agent-later');
  const waiting = async () => {
    const { body } = await engine.request('GET', `/api/v1/execution/status?execution_id=${id}`);
    return (body.steps as JsonObject[])[0]!;
  };
  await until(async () => (await waiting()).status === 'retrying');
  const { resume_at: at, attempt_count } = await waiting();
  expect([attempt_count, Date.parse(String(at)) - Date.now() > 1_800_000]).toEqual([1, true]);
  await engine.client.cancel(id);
});

test('what a model gives away is masked: the key of the engine, and secrets of the question', async () => {
  const told = `${ENGINE_KEY} and ${SECRET}`;
  peer.replies = [told];
  const params = { prompt: 'Keep ${{ secrets.SECRET }}' };
  const { outputs, execution_id } = await engine.run(definition('agent-told', params));
  expect(outputs).toEqual({ ask: '*** and ***' });
  expect(JSON.stringify(await turnsOf(execution_id))).toContain('*** and ***');
  expect(peer.questions.at(-1)!.body.messages).toEqual([{ role: 'user', content: `Keep ${SECRET}` }]);
  peer.replies = [(response) => answer(response, { error: { message: told } }, 400)];
  const { error, steps } = await engine.run(definition('agent-refused', params));
  expect(error?.code).toBe('llm_failed');
  expect(JSON.stringify(steps)).toContain('*** and ***');
  const { rows } = await database.pool.query(
    `select count(*)::integer as count from workflow_step_executions s, workflow_step_turns t
      where concat(s.outputs, s.error, s.error_details, t.record) like any($1)`,
    [[`%${SECRET}%`, `%${ENGINE_KEY}%`]],
  );
  expect(rows).toEqual([{ count: 0 }]);
});

test('nonsense is asked for again, and fails the step after its retries', async () => {
  peer.replies = ['{"lines":"many"}'];
  const schema = { type: 'object', properties: { lines: { type: 'integer' } } };
  const { status, error, execution_id } = await engine.run(
    definition('agent-nonsense', { schema }, { retry: { limit: 1, delay: '1ms' } }),
  );
  expect([status, error?.code]).toEqual(['failed', 'invalid_answer']);
  expect((await turnsOf(execution_id)).map(({ attempt }) => attempt)).toEqual([1, 2]);
});

test('a slow server is left at the timeout of the step, and at a stop', async () => {
  let left = 0;
  peer.replies = [(response) => void response.once('close', () => (left += 1))];
  const late = await engine.run(definition('agent-late', {}, { timeout: '200ms' }));
  expect([late.status, late.error?.code]).toEqual(['failed', 'timeout']);
  await until(() => left === 1);
  const asked = peer.questions.length;
  await publish(engine, definition('agent-stopped', {}));
  const id = await engine.start('agent-stopped');
  await until(() => peer.questions.length > asked);
  await engine.client.stop(id);
  expect((await engine.end(id)).status).toBe('cancelled');
  await until(() => left === 2);
});

test('without a server an agent fails at once, and publishing warns unless it has a URL of its own', async () => {
  const other = await fixture.database();
  const bare = await fixture.engine({ url: other.url, config: { EXECUTION_ENGINE_HTTP_ALLOW: '127.0.0.1' } });
  const published = await publish(bare, definition('agent-bare', {}, { retry: { limit: 5 } }));
  expect(published.warnings).toMatchObject([{ code: 'not_configured', pointer: '/steps/ask/type' }]);
  expect(published.warnings[0]!.message).toContain('EXECUTION_ENGINE_LLM_URL');
  const failed = await bare.end(await bare.start('agent-bare'));
  expect([failed.error?.code, stepOf(failed, 'ask').attempt_count]).toEqual(['not_configured', 1]);
  peer.replies = ['Here.'];
  const own = definition('agent-own', { url: peer.url });
  expect((await publish(bare, own)).warnings).toEqual([]);
  expect((await bare.end(await bare.start('agent-own'))).outputs).toEqual({ ask: 'Here.' });
  expect(peer.questions.at(-1)!.headers.authorization).toBeUndefined();
});

test('a schema that is none is refused when it is published, and so is one that an expression gives', async () => {
  const params = { schema: { type: 'object', properties: { a: { type: 'strin' } } } };
  const { body, status } = await engine.request(
    'POST',
    '/api/v1/templates',
    definition('agent-wrong', params),
  );
  expect(status).toBe(422);
  expect(body.errors).toMatchObject([
    { code: 'invalid_schema', pointer: '/steps/ask/with/schema/properties/a/type' },
  ]);
  const given = definition('agent-given', { schema: '${{ input.schema }}' });
  const answered = await engine.request('POST', '/api/v1/templates', given);
  expect([answered.status, answered.body.errors]).toMatchObject([
    422,
    [{ code: 'invalid_params', pointer: '/steps/ask/with/schema' }],
  ]);
});

test('when its engine is killed between two turns, the next one begins the conversation anew', async () => {
  const other = await fixture.database();
  const { promise: asked, resolve } = Promise.withResolvers<void>();
  peer.replies = [CALL, () => resolve(), 'From the start.'];
  const first = await fixture.engineProcess({ url: other.url, config });
  await publish(first, definition('agent-killed', {}));
  const id = await first.start('agent-killed');
  await asked;
  const kept = await other.pool.query('select attempt, turn from workflow_step_turns');
  expect(kept.rows).toEqual([{ attempt: 1, turn: 1 }]);
  first.kill('SIGKILL');
  await first.exited;
  const second = await fixture.engine({ url: other.url, config });
  const { status, outputs } = await second.end(id);
  expect([status, outputs]).toEqual(['completed', { ask: 'From the start.' }]);
  expect(peer.questions.at(-1)!.body.messages).toEqual([{ role: 'user', content: 'Hi' }]);
  const { rows } = await other.pool.query('select attempt, turn from workflow_step_turns order by 1, 2');
  expect(rows).toEqual([
    { attempt: 1, turn: 1 },
    { attempt: 2, turn: 1 },
  ]);
});
