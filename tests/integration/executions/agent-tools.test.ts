/** Tools of agents: each call is a scope of the step, before a real server of the chat protocol. */
import { expect, test } from 'bun:test';
import type { Json, JsonObject } from '../../../core/json/json.ts';
import { type EngineDatabase, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { type ChatPeer, chatPeer, type Reply } from '../../support/peers/chat-peer.ts';
import { until } from '../../support/until.ts';

let database: EngineDatabase;
let engine: TestEngine;
let peer: ChatPeer;

const fixture = fixtureForAll(async () => {
  database = await fixture.database();
  peer = await fixture.use(chatPeer());
  engine = await fixture.engine({ config: { EXECUTION_ENGINE_LLM_URL: peer.url } });
});

const calls = (...made: readonly (readonly [id: string, name: string, given: Json])[]): Reply => ({
  message: {
    tool_calls: made.map(([id, name, given]) => ({
      id,
      type: 'function',
      function: { name, arguments: JSON.stringify(given) },
    })),
  },
  finish: 'tool_calls',
});

/** One tool adds, one fails; they have steps of one key. */
const TOOLS: Json[] = [
  {
    name: 'add',
    description: 'Adds two numbers.',
    parameters: {
      type: 'object',
      additionalProperties: false,
      required: ['a', 'b'],
      properties: { a: { type: 'number' }, b: { type: 'number' } },
    },
    steps: {
      look: { type: 'transform', with: { value: '${{ input.a + input.b + (steps.before.output ?? 0) }}' } },
    },
    output: '${{ steps.look.output }}',
  },
  {
    name: 'order',
    steps: {
      look: { type: 'record', with: { value: '${{ input.id }}' } },
      check: {
        type: 'fail',
        needs: ['look'],
        when: '${{ input.id === 13 }}',
        with: { code: 'no_such_order', message: 'there is no order ${{ input.id }}' },
      },
      done: {
        type: 'noop',
        needs: [{ step: 'look' }],
        with: { order: '${{ steps.look.output }}', of: '${{ execution.template }}' },
      },
    },
    output: { found: '${{ steps.done.output }}' },
  },
];

function definition(name: string, params: JsonObject = {}, fields: JsonObject = {}): JsonObject {
  return {
    name,
    steps: {
      before: { type: 'transform', with: { value: 100 } },
      ask: {
        type: 'agent',
        needs: ['before'],
        with: { model: 'm', prompt: 'Hi ${{ input.who }}', tools: TOOLS, ...params },
        ...fields,
      },
    },
    output: '${{ steps.ask.output }}',
  };
}

const lastMessages = () => peer.questions.at(-1)!.body.messages as JsonObject[];

async function scopesOf(executionId: string, on: EngineDatabase = database) {
  const { rows } = await on.pool.query(
    `select path, part, status from workflow_scopes where workflow_execution_id = $1 order by index`,
    [executionId],
  );
  return rows;
}

test('calls run the steps of their tools, several at a time and over several turns, and the model hears of them in order', async () => {
  peer.replies = [
    calls(['x', 'order', { id: 7 }], ['y', 'add', { a: 1, b: 2 }]),
    calls(['z', 'add', { a: 3, b: 4 }]),
    'It is done.',
  ];
  const { status, outputs, error, execution_id } = await engine.run(definition('agent-tools'), {
    inputs: { who: 'Ada', id: 'of the execution' },
  });
  expect([status, error, outputs]).toEqual(['completed', null, 'It is done.']);
  const [first] = peer.questions.slice(-3);
  expect(first!.body.tools).toMatchObject([
    {
      type: 'function',
      function: { name: 'add', description: 'Adds two numbers.', parameters: { required: ['a', 'b'] } },
    },
    { type: 'function', function: { name: 'order', parameters: { type: 'object' } } },
  ]);
  const [, asked, ...told] = lastMessages();
  expect(lastMessages()[0]).toEqual({ role: 'user', content: 'Hi Ada' });
  expect(asked).toMatchObject({ role: 'assistant', tool_calls: [{ id: 'x' }, { id: 'y' }] });
  expect(told).toMatchObject([
    { role: 'tool', tool_call_id: 'x', content: '{"found":{"of":"agent-tools","order":7}}' },
    { role: 'tool', tool_call_id: 'y', content: '103' },
    { role: 'assistant', tool_calls: [{ id: 'z' }] },
    { role: 'tool', tool_call_id: 'z', content: '107' },
  ]);
  expect(await scopesOf(execution_id)).toEqual([
    { path: 'ask[0]', part: 1, status: 'completed' },
    { path: 'ask[1]', part: 0, status: 'completed' },
    { path: 'ask[2]', part: 0, status: 'completed' },
  ]);
  const { rows } = await database.pool.query(
    'select turn, record from workflow_step_turns t join workflow_step_executions s on s.id = t.step_execution_id where s.workflow_execution_id = $1 order by turn',
    [execution_id],
  );
  expect(rows.map(({ turn }) => turn)).toEqual([1, 2, 3]);
});

test('bad arguments, an unknown tool and a failed tool are told to the model, and the step goes on', async () => {
  peer.replies = [
    calls(
      ['a', 'add', { a: 1 }],
      ['b', 'gone', {}],
      ['c', 'order', { id: 13 }],
      ['d', 'add', { a: 1, b: 1 }],
    ),
    'I see.',
  ];
  const { status, outputs } = await engine.run(definition('agent-failing'), { inputs: { who: 'Ada' } });
  expect([status, outputs]).toEqual(['completed', 'I see.']);
  const told = lastMessages().slice(2);
  expect(told.map(({ tool_call_id: id }) => id)).toEqual(['a', 'b', 'c', 'd']);
  expect(String(told[0]!.content)).toContain('the arguments do not fit');
  expect(String(told[0]!.content)).toContain('"b"');
  expect(told[1]!.content).toBe('Error: there is no tool "gone". The tools are: add, order.');
  expect(told[2]!.content).toBe('Error: no_such_order: there is no order 13');
  expect(told[3]!.content).toBe('102');
});

test('tools whose results the model would never hear of are not run', async () => {
  peer.replies = [calls(['a', 'add', { a: 1, b: 2 }])];
  const { error, execution_id } = await engine.run(definition('agent-turns', { maxTurns: 2 }), {
    inputs: { who: 'Ada' },
  });
  expect(error?.code).toBe('max_turns');
  expect(await scopesOf(execution_id)).toHaveLength(1);
});

test('a retry begins a new conversation, and the numbers of its scopes go on', async () => {
  const cut: Reply = (response) => response.socket!.destroy();
  peer.replies = [calls(['a', 'order', { id: 13 }]), cut, calls(['a', 'add', { a: 5, b: 5 }]), 'Now.'];
  const retry = { limit: 1, delay: '1ms' };
  const end = await engine.run(definition('agent-again', {}, { retry }), { inputs: { who: 'Ada' } });
  expect([end.status, end.outputs, stepOf(end, 'ask').attempt_count]).toEqual(['completed', 'Now.', 2]);
  expect(lastMessages().map(({ role, content }) => [role, content])).toEqual([
    ['user', 'Hi Ada'],
    ['assistant', null],
    ['tool', '110'],
  ]);
  expect(await scopesOf(end.execution_id)).toEqual([
    { path: 'ask[0]', part: 1, status: 'failed' },
    { path: 'ask[1]', part: 0, status: 'completed' },
  ]);
});

test('a timeout ends a tool that runs, and the conversation', async () => {
  const slow = [{ name: 'slow', steps: { wait: { type: 'delay', with: { for: '1h' } } } }];
  peer.replies = [calls(['a', 'slow', {}])];
  const late = definition('agent-slow-tool', { tools: slow }, { timeout: '300ms' });
  const { error, execution_id } = await engine.run(late, { inputs: { who: 'Ada' } });
  expect(error?.code).toBe('timeout');
  expect(await scopesOf(execution_id)).toEqual([{ path: 'ask[0]', part: 0, status: 'cancelled' }]);
});

test('when the engine is killed while a tool runs, the next one goes on with the conversation', async () => {
  const other = await fixture.database();
  const tools = [
    { name: 'first', steps: { a: { type: 'noop', with: {} } } },
    {
      name: 'gate',
      steps: { wait: { type: 'gate', with: { name: 'tool', value: '${{ input.n }}' } } },
      output: '${{ steps.wait.output }}',
    },
  ];
  peer.replies = [calls(['a', 'gate', { n: 41 }], ['b', 'first', {}]), 'Through.'];
  const config = { EXECUTION_ENGINE_LLM_URL: peer.url };
  const first = await fixture.engineProcess({ url: other.url, config });
  await first.client.publish(JSON.stringify(definition('agent-gate', { tools })), 'application/json');
  const id = await first.start('agent-gate', { inputs: { who: 'Ada' } });
  await until(async () => (await scopesOf(id, other)).length === 2);
  first.kill('SIGKILL');
  await first.exited;
  const second = await fixture.engine({ url: other.url, config });
  await other.openGate('tool');
  const { status, outputs, steps } = await second.end(id);
  expect([status, outputs]).toEqual(['completed', 'Through.']);
  expect(steps.find(({ key }) => key === 'ask')!.attempt_count).toBe(1);
  expect(lastMessages().slice(2)).toMatchObject([{ content: '41' }, { content: '{"a":{}}' }]);
});

test('tools that cannot be are refused when they are published, each at its place', async () => {
  const refused = async (tools: Json) => {
    const { status, body } = await engine.request(
      'POST',
      '/api/v1/templates',
      definition('agent-bad', { tools }),
    );
    return [status, ...(body.errors as JsonObject[]).map(({ code, pointer }) => `${code} ${pointer}`)];
  };
  const at = '/steps/ask/with/tools';
  const steps = { a: { type: 'noop' } };
  expect(await refused([{ name: 'a', steps, parameters: { type: 'objekt' } }])).toEqual([
    422,
    `invalid_schema ${at}/0/parameters/type`,
  ]);
  expect(
    await refused([
      { name: 'a', steps },
      { name: 'a', steps },
    ]),
  ).toEqual([422, `invalid_params ${at}`]);
  expect(await refused([{ name: 'a b', steps }])).toEqual([422, `invalid_params ${at}/0/name`]);
  expect(await refused('${{ input.tools }}')).toEqual([422, `invalid_params ${at}`]);
  expect(await refused([{ name: 'a', steps: { a: { type: 'nope' } } }])).toEqual([
    422,
    `unknown_step_type ${at}/0/steps/a/type`,
  ]);
});
