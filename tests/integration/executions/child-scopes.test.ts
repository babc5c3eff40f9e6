/**
 * Steps that hold scopes and name a workflow instead of steps: each scope starts a child execution.
 */
import { describe, expect, test } from 'bun:test';
import type { Json, JsonObject } from '../../../core/json/json.ts';
import { type EngineDatabase, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { type ChatPeer, chatPeer } from '../../support/peers/chat-peer.ts';

let database: EngineDatabase;
let engine: TestEngine;
let peer: ChatPeer;

fixtureForAll(async (fixture) => {
  database = await fixture.database();
  peer = await fixture.use(chatPeer());
  engine = await fixture.engine({ config: { EXECUTION_ENGINE_LLM_URL: peer.url } });
});

const each = (items: Json, more: JsonObject, step: JsonObject = {}): JsonObject => ({
  steps: { each: { type: 'foreach', with: { items, ...more }, ...step } },
});
const gives = (value: Json): JsonObject => ({
  steps: { one: { type: 'transform', with: { value } } },
  output: '${{ steps.one.output }}',
});
/** Fails for inputs from 2 on. */
const picky = {
  steps: { no: { type: 'fail', when: '${{ input >= 2 }}', with: { message: 'no', code: 'x' } } },
};

async function childrenOf(executionId: string): Promise<{ id: string; status: string; inputs: Json }[]> {
  const { rows } = await database.pool.query(
    'select id, status, inputs from workflow_executions where parent_execution_id = $1 order by id',
    [executionId],
  );
  return rows;
}

describe('a foreach with a workflow', () => {
  test('starts a child for each item, which it gets as its inputs, and has their outputs in order', async () => {
    const workflow = await engine.publish(gives('${{ input.n * 2 }}'));
    const end = await engine.run(each([{ n: 4 }, { n: 1 }, { n: 7 }], { workflow, concurrency: 2 }));
    expect(end).toMatchObject({ status: 'completed', outputs: { each: [8, 2, 14] } });
    const { body } = await engine.request(
      'GET',
      `/api/v1/execution/scopes?execution_id=${end.execution_id}&step=each`,
    );
    const children = await childrenOf(end.execution_id);
    const listed = body.data as { execution_id: string }[];
    expect(new Set(listed.map(({ execution_id }) => execution_id))).toEqual(
      new Set(children.map(({ id }) => id)),
    );
    const scope = await engine.request(
      'GET',
      `/api/v1/execution/status?execution_id=${end.execution_id}&scope=each[1]`,
    );
    expect(scope.body.steps).toMatchObject([
      { key: 'each', type: 'workflow', children: [{ execution_id: listed[1]!.execution_id }] },
    ]);
  });

  test('gives a child what `inputs` says, which sees the item and the steps before', async () => {
    await engine.publish({ name: 'called-by-name', ...gives('old') });
    await engine.publish({ name: 'called-by-name', ...gives('${{ input.all }}') });
    const foreach = {
      type: 'foreach',
      needs: ['workflow'],
      with: {
        items: ['called-by-name', 'called-by-name'],
        workflow: '${{ item }}',
        version: '${{ index + 1 }}',
        inputs: { all: '${{ [index, item, steps.workflow.output, input.x] }}' },
      },
    };
    const steps = { workflow: { type: 'transform', with: { value: 'w' } }, 'each-one': foreach };
    const end = await engine.run({ steps }, { inputs: { x: 5 } });
    expect(end.outputs).toEqual({ 'each-one': ['old', [1, 'called-by-name', 'w', 5]] });
  });

  test('fails as its child did, and with `continue` has the error in its place', async () => {
    const workflow = await engine.publish(picky);
    const end = await engine.run(each([0, 2], { workflow }));
    expect(end).toMatchObject({ status: 'failed', error: { code: 'child_failed', step: 'each' } });
    const failed = (await childrenOf(end.execution_id)).find(({ status }) => status === 'failed')!;
    expect(stepOf(end, 'each').error!.details).toMatchObject({
      scope: 'each[1]',
      step: 'each',
      details: { execution_id: failed.id, error: { code: 'x', step: 'no' } },
    });
    const others = await engine.run(each([0, 2], { workflow, onItemFailure: 'continue' }));
    expect(others).toMatchObject({
      status: 'completed',
      outputs: { each: [{}, { error: { code: 'child_failed' } }] },
    });
  });

  test('tried again starts new children for those that failed alone', async () => {
    const workflow = await engine.publish(picky);
    const retry = { limit: 1, delay: 1, jitter: false };
    const end = await engine.run(each([0, 1, 2], { workflow, concurrency: 1 }, { retry }));
    expect(stepOf(end, 'each')).toMatchObject({ status: 'failed', attempt_count: 2 });
    const inputs = (await childrenOf(end.execution_id)).map((child) => child.inputs);
    expect(inputs).toEqual([0, 1, 2, 2]);
  });

  test.each(['stop', 'cancel'] as const)('that is ended by a %s ends its children', async (how) => {
    const inner = await engine.publish({ steps: { long: { type: 'delay', with: { for: '1h' } } } });
    const workflow = await engine.publish(each(2, { workflow: inner }));
    const id = await engine.start(await engine.publish(each(2, { workflow })));
    await database.until(
      `select count(*) = 4 from workflow_executions e join workflow_step_executions s on s.workflow_execution_id = e.id
        where e.root_execution_id = $1 and s.status = 'waiting' and s.waiting_for is null and e.child_depth = 2`,
      [id],
    );
    await engine.client[how](id);
    expect((await engine.end(id)).status).toBe('cancelled');
    await database.until(
      `select count(*) = 6 from workflow_executions where root_execution_id = $1 and status = 'cancelled'`,
      [id],
    );
  });
});

test('a loop with a workflow starts one child after the other, whose outputs are `previous`', async () => {
  const workflow = await engine.publish(gives('${{ (input.so_far ?? 0) + 10 }}'));
  const loop = {
    type: 'loop',
    with: { until: '${{ previous >= 30 }}', workflow, inputs: { so_far: '${{ previous }}' } },
  };
  const end = await engine.run({ steps: { loop } });
  expect(end).toMatchObject({ status: 'completed', outputs: { loop: 30 } });
  expect(await childrenOf(end.execution_id)).toHaveLength(3);
});

test('tools of an agent may name a workflow beside others that have steps', async () => {
  const workflow = await engine.publish(gives('${{ input.a * 100 }}'));
  const call = (id: string, name: string, args: Json) => ({
    id,
    type: 'function',
    function: { name, arguments: JSON.stringify(args) },
  });
  peer.replies.push(
    {
      message: { tool_calls: [call('x', 'own', { a: 1 }), call('y', 'other', { a: 2 })] },
      finish: 'tool_calls',
    },
    { message: { content: 'done' } },
  );
  const tools = [
    { name: 'other', workflow },
    { name: 'own', steps: { one: { type: 'transform', with: { value: '${{ input.a }}' } } } },
  ];
  const end = await engine.run({
    steps: { ask: { type: 'agent', with: { model: 'm', prompt: 'Hi', tools } } },
  });
  expect(end).toMatchObject({ status: 'completed', outputs: { ask: 'done' } });
  const told = peer.questions.at(-1)!.body.messages as { role: string; content: string }[];
  expect(told.filter(({ role }) => role === 'tool').map(({ content }) => content)).toEqual([
    '{"one":1}',
    '200',
  ]);
  const { body } = await engine.request(
    'GET',
    `/api/v1/execution/scopes?execution_id=${end.execution_id}&step=ask`,
  );
  const [child] = await childrenOf(end.execution_id);
  expect((body.data as JsonObject[]).map(({ execution_id }) => execution_id)).toEqual([null, child!.id]);
});

test.each<[string, JsonObject, string, string]>([
  ['both', { workflow: 'w', steps: { a: { type: 'noop' } } }, '', 'invalid_params'],
  ['neither', {}, '', 'invalid_params'],
  ['an output', { workflow: 'w', output: 1 }, '/output', 'invalid_params'],
  ['inputs of steps', { steps: { a: { type: 'noop' } }, inputs: 1 }, '/inputs', 'invalid_params'],
  ['a version of steps', { steps: { a: { type: 'noop' } }, version: 1 }, '/version', 'invalid_params'],
  ['a name that is none', { workflow: 'no name' }, '/workflow', 'invalid_params'],
  ['a version that is none', { workflow: 'w', version: 'x' }, '/version', 'invalid_params'],
  [
    'an unknown step',
    { workflow: 'w', inputs: { a: ['${{ steps.gone.output }}'] } },
    '/inputs/a/0',
    'unknown_step_reference',
  ],
])('a foreach with %s is refused when it is published, at its place', async (_, more, below, code) => {
  const definition = { name: 'refused', ...each([1], more) };
  const { status, body } = await engine.request('POST', '/api/v1/templates', definition);
  expect(status).toBe(422);
  const errors = body.errors as JsonObject[];
  expect(errors.map((error) => [error.pointer, error.code])).toEqual([[`/steps/each/with${below}`, code]]);
});

test('publish and validate warn of children that are not published, and of a template that starts itself', async () => {
  const child = await engine.publish({ steps: { a: { type: 'noop' } } });
  const calls = (name: string, more: JsonObject = {}) => ({ type: 'workflow', with: { name, ...more } });
  const definition = {
    name: 'calls-itself-and-others',
    steps: {
      known: calls(child),
      unknown: calls('nowhere'),
      later: calls(child, { version: 9 }),
      itself: calls('calls-itself-and-others'),
      computed: calls('${{ input.name }}'),
      each: { type: 'foreach', with: { items: 1, workflow: 'nowhere' } },
      inside: { type: 'foreach', with: { items: 1, steps: { deep: calls('calls-itself-and-others') } } },
    },
  };
  const expected = [
    ['/steps/each/with/workflow', 'child_not_published'],
    ['/steps/inside/with/steps/deep/with/name', 'child_starts_itself'],
    ['/steps/itself/with/name', 'child_starts_itself'],
    ['/steps/later/with/name', 'child_not_published'],
    ['/steps/unknown/with/name', 'child_not_published'],
  ];
  const warningsOf = async (path: string) => {
    const { body } = await engine.request('POST', `/api/v1/templates${path}`, definition);
    return (body.warnings as JsonObject[]).map(({ pointer, code }) => [pointer, code]).toSorted();
  };
  expect(await warningsOf('/validate')).toEqual(expected);
  expect(await warningsOf('')).toEqual(expected);
  await engine.publish({ name: 'nowhere', steps: { a: { type: 'noop' } } });
  const left = expected.filter(
    ([pointer, code]) => code === 'child_starts_itself' || pointer!.includes('later'),
  );
  expect(await warningsOf('')).toEqual(left);
  await engine.client.archiveTemplate('nowhere');
  expect(await warningsOf('/validate')).toEqual(expected);
});
