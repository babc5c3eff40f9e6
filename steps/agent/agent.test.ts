/** The handler of `agent` before a real server of the chat protocol that behaves well, badly, and not at all. */
import { describe, expect, test } from 'bun:test';
import type { Json, JsonObject } from '../../core/json/json.ts';
import { createSchemaChecker } from '../../definition/schema/json-schema.ts';
import { failureOf } from '../../tests/support/http-peer.ts';
import { answer, type ChatPeer, chatPeer, type Reply, USAGE } from '../../tests/support/peers/chat-peer.ts';
import { stepContext } from '../../tests/support/step-context.ts';
import { createStepTypes } from '../registry.ts';
import { StepFailure, type StepType } from '../step-type.ts';

const ENGINE_KEY = 'sk-of-the-engine';
const PERSON = {
  type: 'object',
  additionalProperties: false,
  required: ['name', 'age'],
  properties: { name: { type: 'string' }, age: { type: 'integer' } },
};

interface Setting {
  url?: string | null;
  key?: string | null;
  allow?: string[];
}

function agent({ url = null, key = null, allow = [] }: Setting = {}): StepType {
  const checker = createSchemaChecker();
  const types = createStepTypes({
    http: { allow, maxResponseBytes: 100_000, timeoutMs: 1_000 },
    script: { timeoutMs: 1_000, memoryBytes: 2 ** 20 },
    agent: { url, key },
    schemas: () => checker,
  });
  return types.get('agent')!;
}

interface Run {
  readonly turns: [number, JsonObject][];
  readonly output: Promise<Json>;
}

/** Runs the handler before a peer, as the engine's server; it keeps what it was told to keep. */
function run(peer: ChatPeer, params: JsonObject, setting: Setting = {}, signal?: AbortSignal): Run {
  const turns: [number, JsonObject][] = [];
  const context = stepContext({
    params: { model: 'm', prompt: 'Hi', ...params },
    keepTurn: async (number, turn) => {
      turns.push([number, turn]);
    },
    ...(signal === undefined ? {} : { signal }),
  });
  return { turns, output: agent({ url: peer.url, ...setting }).run(context) as Promise<Json> };
}

async function failed(params: JsonObject, ...replies: Reply[]) {
  await using peer = await chatPeer(...replies);
  const { output, turns } = run(peer, params);
  const failure = await failureOf(output);
  expect(failure).toBeInstanceOf(StepFailure);
  return { failure, turns, questions: peer.questions };
}

describe('an agent', () => {
  test('asks with its prompt and gives the text', async () => {
    await using peer = await chatPeer('Hello, Ada!');
    const { output, turns } = run(peer, { system: 'Be kind.', temperature: 0.5, options: { seed: 7 } });
    expect(await output).toBe('Hello, Ada!');
    expect(peer.questions.map(({ path, body }) => [path, body])).toEqual([
      [
        '/v1/chat/completions',
        {
          seed: 7,
          model: 'm',
          messages: [
            { role: 'system', content: 'Be kind.' },
            { role: 'user', content: 'Hi' },
          ],
          temperature: 0.5,
        },
      ],
    ]);
    const record = { model: 'm', content: 'Hello, Ada!', refusal: null, tool_calls: [], usage: USAGE };
    expect(turns).toEqual([[1, { ...record, finish_reason: 'stop', took_ms: expect.any(Number) }]]);
  });

  test('goes on from messages, with images and other parts', async () => {
    await using peer = await chatPeer({
      message: {
        content: [
          { type: 'text', text: 'a ' },
          { type: 'text', text: 'cat' },
        ],
      },
    });
    const messages = [
      { role: 'user', content: [{ type: 'image_url', image_url: { url: 'https://a.test/cat.png' } }] },
      { role: 'assistant', content: 'An animal.' },
      { role: 'user', content: 'Which?' },
    ];
    const context = { model: 'm', messages };
    expect(await agent({ url: peer.url }).run(stepContext({ params: context }))).toBe('a cat');
    expect(peer.questions[0]!.body.messages).toEqual(messages);
  });

  test('with a schema asks for it, and gives the object', async () => {
    await using peer = await chatPeer('{"name":"Ada","age":36}');
    expect(await run(peer, { schema: PERSON }).output).toEqual({ name: 'Ada', age: 36 });
    expect(peer.questions[0]!.body.response_format).toEqual({
      type: 'json_schema',
      json_schema: { name: 'answer', schema: PERSON },
    });
  });

  test('keeps the query of its URL, and takes one with a slash at its end', async () => {
    await using peer = await chatPeer();
    await run(peer, { url: `${peer.url}/?version=2` }, { allow: ['127.0.0.1'] }).output;
    await run(peer, {}, { url: `${peer.url}/` }).output;
    expect(peer.questions.map(({ path }) => path)).toEqual([
      '/v1/chat/completions?version=2',
      '/v1/chat/completions',
    ]);
  });
});

describe('the key', () => {
  const sent = async (params: (peer: ChatPeer) => JsonObject, setting: Setting) => {
    await using peer = await chatPeer();
    await run(peer, params(peer), { allow: ['127.0.0.1'], ...setting }).output;
    return peer.questions.map(({ headers }) => headers.authorization);
  };

  test('of the engine goes to the URL of the engine', async () => {
    expect(await sent(() => ({}), { key: ENGINE_KEY })).toEqual([`Bearer ${ENGINE_KEY}`]);
  });

  test('of the engine does not go to the URL of a step, not even when it is the same', async () => {
    expect(await sent(({ url }) => ({ url }), { key: ENGINE_KEY })).toEqual([undefined]);
  });

  test('of a step goes to the URL of the step', async () => {
    const key = 'sk-of-the-step';
    expect(await sent(({ url }) => ({ url, key }), { key: ENGINE_KEY })).toEqual([`Bearer ${key}`]);
  });

  test('of a step without a URL goes nowhere', async () => {
    const { failure, questions } = await failed({ key: 'sk-of-the-step' });
    expect([failure.code, questions]).toEqual(['invalid_params', []]);
  });

  test('is not taken along by a redirect', async () => {
    await using other = await chatPeer();
    await using peer = await chatPeer((response) => {
      response.writeHead(307, { location: `${other.url}/chat/completions` }).end();
    });
    const { output } = run(peer, {}, { key: ENGINE_KEY, allow: ['127.0.0.1'] });
    expect(await failureOf(output)).toMatchObject({
      code: 'llm_failed',
      retryable: false,
      details: { status: 307 },
    });
    expect(other.questions).toEqual([]);
  });
});

describe('an address', () => {
  test('that is private is reached when it is the engine’s, and refused when it is a step’s', async () => {
    await using peer = await chatPeer();
    expect(await run(peer, {}).output).toBe('hello');
    const failure = await failureOf(run(peer, { url: peer.url }).output);
    expect(failure).toMatchObject({
      code: 'llm_failed',
      retryable: false,
      details: { reason: 'http_blocked_address' },
    });
  });

  test('that is missing fails the step before anything is sent', async () => {
    const failure = await failureOf(
      agent().run(stepContext({ params: { model: 'm', prompt: 'Hi' } })) as Promise<Json>,
    );
    expect(failure).toMatchObject({ code: 'not_configured', retryable: false });
    expect(failure.message).toContain('EXECUTION_ENGINE_LLM_URL');
  });
});

describe('a server that', () => {
  const status =
    (code: number, headers = {}): Reply =>
    (response) =>
      answer(response, { error: { message: 'no' } }, code, headers);

  test.each([
    [429, { 'retry-after': '7' }, true, 7_000],
    [408, {}, true, null],
    [425, {}, true, null],
    [500, {}, true, null],
    [503, { 'retry-after': '0' }, true, 0],
    [400, {}, false, null],
    [401, {}, false, null],
    [404, {}, false, null],
  ])(
    'answers %p fails the step, and says when to come again',
    async (code, headers, retryable, retryAfterMs) => {
      const { failure, turns } = await failed({}, status(code, headers));
      expect(failure).toMatchObject({ code: 'llm_failed', retryable, retryAfterMs });
      expect(failure.details).toMatchObject({ status: code, body: { error: { message: 'no' } } });
      expect(turns).toEqual([]);
    },
  );

  test.each<[string, Reply]>([
    ['cuts the connection', (response) => response.socket!.destroy()],
    [
      'cuts its answer',
      (response) => {
        response.writeHead(200, { 'content-length': '1000' });
        response.write('{"choices":', () => response.socket!.destroy());
      },
    ],
  ])('%s may be asked again', async (_what, reply) => {
    expect((await failed({}, reply)).failure).toMatchObject({ code: 'llm_failed', retryable: true });
  });

  test('answers without end is left', async () => {
    const { failure } = await failed({}, (response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      const more = () => {
        if (response.write(' '.repeat(10_000))) setImmediate(more);
        else response.once('drain', more);
      };
      more();
    });
    expect(failure).toMatchObject({
      code: 'llm_failed',
      retryable: false,
      details: { reason: 'http_response_too_large' },
    });
  });

  test.each<[string, Reply]>([
    ['broken JSON', (response) => response.end('{"choices":[{')],
    ['a page', (response) => response.setHeader('content-type', 'text/html').end('<html>login</html>')],
    ['an empty body', (response) => response.end()],
    ['another object', (response) => answer(response, { data: [] })],
    ['no choice', (response) => answer(response, { choices: [] })],
    ['a choice without a message', (response) => answer(response, { choices: [{ text: 'x' }] })],
    ['neither text nor calls', { message: {} }],
    ['an answer that was cut', { message: { content: 'The answ' }, finish: 'length' }],
    ['an answer that was filtered', { message: { content: '' }, finish: 'content_filter' }],
    ['a refusal', { message: { refusal: 'I cannot help with that.' } }],
  ])('gives %s has given no answer, and may be asked again', async (_what, reply) => {
    const { failure } = await failed({}, reply);
    expect(failure).toMatchObject({ code: 'invalid_answer', retryable: true });
  });

  test.each([
    ['text', 'Ada is 36.', 'not JSON'],
    ['half an object', '{"name":"Ada"', 'not JSON'],
    ['an object of another shape', '{"name":"Ada"}', 'age'],
    ['another type', '[1]', 'schema'],
    ['a number that would change', '{"name":"Ada","age":9007199254740993}', '9007199254740993'],
  ])('gives %s where a schema was given has given no answer', async (_what, text, part) => {
    const { failure, turns } = await failed({ schema: PERSON }, text);
    expect(failure).toMatchObject({ code: 'invalid_answer', retryable: true, details: { answer: text } });
    expect(failure.message).toContain(part);
    // Its turn is kept all the same: it was paid for.
    expect(turns).toMatchObject([[1, { content: text, usage: USAGE }]]);
  });

  test('never answers is left when the step is over, and sees the connection close', async () => {
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
    await using peer = await chatPeer((response) => {
      response.once('close', resolve);
      ask();
    });
    const controller = new AbortController();
    const { output } = run(peer, {}, {}, controller.signal);
    await asked;
    const reason = new StepFailure('timeout', 'over', { retryable: true });
    controller.abort(reason);
    expect(await failureOf(output)).toBe(reason as never);
    await closed;
  });
});

describe('a call of a tool, where there are none,', () => {
  const call = (id: string) => ({
    message: { tool_calls: [{ id, type: 'function', function: { name: 'look', arguments: '{}' } }] },
    finish: 'tool_calls',
  });

  test('is answered with that, and uses a turn', async () => {
    await using peer = await chatPeer(call('a'), 'Then I do not know.');
    const { output, turns } = run(peer, {});
    expect(await output).toBe('Then I do not know.');
    expect(turns.map(([number]) => number)).toEqual([1, 2]);
    expect((peer.questions[1]!.body.messages as JsonObject[]).at(-1)).toEqual({
      role: 'tool',
      tool_call_id: 'a',
      content: 'Error: there is no tool "look". There are no tools.',
    });
  });

  test('fails the step after the last turn', async () => {
    const { failure, turns, questions } = await failed({ maxTurns: 3 }, call('a'));
    expect(failure).toMatchObject({ code: 'max_turns', retryable: false, details: { turns: 3, tokens: 30 } });
    expect([turns.length, questions.length]).toEqual([3, 3]);
  });

  test('fails the step when the tokens are used up, and each answer may use what is left', async () => {
    const { failure, questions } = await failed({ maxTokens: 25 }, call('a'));
    expect(failure).toMatchObject({
      code: 'token_budget',
      retryable: false,
      details: { turns: 3, tokens: 30 },
    });
    expect(questions.map(({ body }) => body.max_completion_tokens)).toEqual([25, 15, 5]);
  });

  test('fails the step when tokens are to be counted, and the server does not say how many it used', async () => {
    const { failure, turns } = await failed({ maxTokens: 25 }, { ...call('a'), usage: null });
    expect([failure.code, turns.length]).toEqual(['token_budget', 1]);
  });
});

test('a limit among the options keeps its name, and what is left of the budget lowers it', async () => {
  await using peer = await chatPeer();
  await run(peer, { maxTokens: 100, options: { max_tokens: 20 } }).output;
  await run(peer, { maxTokens: 100, options: { max_tokens: 200 } }).output;
  await run(peer, { options: { max_tokens: 200 } }).output;
  expect(peer.questions.map(({ body }) => [body.max_tokens, body.max_completion_tokens])).toEqual([
    [20, undefined],
    [100, undefined],
    [200, undefined],
  ]);
});

test('an answer that the budget cuts has used it up', async () => {
  const reply = { message: { content: 'The answ' }, finish: 'length', usage: { total_tokens: 25 } };
  expect((await failed({ maxTokens: 25 }, reply)).failure).toMatchObject({
    code: 'token_budget',
    retryable: false,
  });
});
