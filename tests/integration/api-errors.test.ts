/**
 * Every line of the list of errors, for every call it applies to, at a real engine: the answer is a problem
 * document, and no row has changed.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import type { ProblemDocument } from '../../api/errors.ts';
import {
  type EngineCalls,
  type EngineDatabase,
  engineCalls,
  engineDatabase,
  startTestEngine,
  type TestEngine,
} from '../support/engine.ts';
import { refusal } from '../support/untouched.ts';

setDefaultTimeout(60_000);

const A = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa';
const B = 'bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb';
const UNKNOWN = '11111111-1111-4111-8111-111111111111';
const BODY_LIMIT = 100_000;
const ROLES = ['viewer', 'operator', 'editor', 'admin'] as const;
type Role = (typeof ROLES)[number];
const keyOf = (role: Role) => `key-of-${role}-in-workspace-a`;
const KEY_OF_B = 'key-of-admin-in-workspace-b';
const OPERATOR_KEY = 'key-of-the-whole-engine';

/** A call of the API: who may make it, and parts that make it succeed. */
interface ApiCall {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** As the OpenAPI document has it. */
  readonly route: string;
  readonly role: Role | 'engine';
  readonly path: () => string;
  readonly body?: () => unknown;
  readonly takesYaml?: boolean;
}

let database: EngineDatabase;
let engine: TestEngine;
let a: EngineCalls;
let template: string;
let templateId: string;
let running: string;

const START = '/api/v1/execution/start';
const START_MANY = '/api/v1/execution/start-many';
const STOP = '/api/v1/execution/stop';
const TEMPLATES = '/api/v1/templates';
const definition = () => ({ name: 'never-published', steps: { a: { type: 'noop' } } });

const CALLS: readonly ApiCall[] = [
  { method: 'POST', route: START, role: 'operator', path: () => START, body: () => ({ template }) },
  {
    method: 'POST',
    route: START_MANY,
    role: 'operator',
    path: () => START_MANY,
    body: () => ({ items: [{ template }] }),
  },
  {
    method: 'GET',
    route: '/api/v1/execution/status',
    role: 'viewer',
    path: () => `/api/v1/execution/status?execution_id=${running}`,
  },
  {
    method: 'POST',
    route: STOP,
    role: 'operator',
    path: () => STOP,
    body: () => ({ execution_id: running }),
  },
  {
    method: 'POST',
    route: TEMPLATES,
    role: 'editor',
    path: () => TEMPLATES,
    body: definition,
    takesYaml: true,
  },
  {
    method: 'POST',
    route: `${TEMPLATES}/validate`,
    role: 'viewer',
    path: () => `${TEMPLATES}/validate`,
    body: definition,
    takesYaml: true,
  },
  { method: 'GET', route: TEMPLATES, role: 'viewer', path: () => TEMPLATES },
  { method: 'GET', route: `${TEMPLATES}/{name}`, role: 'viewer', path: () => `${TEMPLATES}/${template}` },
  { method: 'DELETE', route: `${TEMPLATES}/{name}`, role: 'editor', path: () => `${TEMPLATES}/${template}` },
  { method: 'GET', route: '/admin/executions', role: 'engine', path: () => '/admin/executions' },
  {
    method: 'POST',
    route: '/admin/executions/{id}/cancel',
    role: 'engine',
    path: () => `/admin/executions/${running}/cancel`,
    body: () => ({ reason: 'none' }),
  },
  { method: 'GET', route: '/metrics', role: 'engine', path: () => '/metrics' },
];
const WITH_BODY = CALLS.filter(({ body }) => body !== undefined);
const nameOf = ({ method, route }: ApiCall) => `${method} ${route}`;

beforeAll(async () => {
  database = await engineDatabase();
  const keys = [
    ...ROLES.map((role) => `${keyOf(role)}=${A}:${role}`),
    `${KEY_OF_B}=${B}`,
    `${OPERATOR_KEY}=admin`,
  ];
  engine = await startTestEngine({
    url: database.url,
    config: {
      EXECUTION_ENGINE_API_KEYS: keys.join(','),
      EXECUTION_ENGINE_MAX_BODY_BYTES: String(BODY_LIMIT),
      EXECUTION_ENGINE_MAX_DEFINITION_BYTES: String(BODY_LIMIT / 2),
    },
  });
  a = engineCalls(engine.url, keyOf('editor'));
  await seed();
});

afterAll(async () => {
  await database?.openGate('held');
  await engine?.stop();
  await database?.drop();
});

/** Rows of every kind, all at rest: ended, running, retrying, waiting for inputs, and put off. */
async function seed(): Promise<void> {
  template = await a.publish({
    input: { type: 'object', properties: { n: { type: 'integer' } } },
    steps: {
      held: { type: 'gate', with: { name: 'held' } },
      done: { type: 'noop' },
      later: { type: 'flaky', retry: { limit: 1, delay: '1h', jitter: false } },
      join: { type: 'merge', needs: ['held', 'done'] },
    },
  });
  templateId = (await a.client.getTemplate(template)).workflow_template_id;
  await a.run({ steps: { one: { type: 'noop' }, two: { type: 'noop', needs: ['one'] } } });
  await a.start(template, { start_after: '1h', idempotency_key: 'used', inputs: { n: 1 } });
  running = await a.start(template);
  await database.until(
    `select count(*) = 4 from workflow_step_executions
      where workflow_execution_id = $1 and status in ('running', 'completed', 'retrying', 'waiting_inputs')`,
    [running],
  );
  await database.until('select true from test_runs where execution_id = $1 and step = $2', [running, 'held']);
}

interface Sent {
  readonly key?: string | null;
  readonly headers?: Record<string, string>;
  readonly body?: NonNullable<RequestInit['body']>;
}

/** Sends bytes as they are; the key of the whole engine unless said otherwise, null for none. */
function send(method: string, path: string, { key = OPERATOR_KEY, headers = {}, body }: Sent = {}) {
  return fetch(engine.url + path, {
    method,
    headers: {
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      ...headers,
    },
    ...(body === undefined ? {} : { body }),
  });
}

/** The call as it would succeed, with changes. */
function sendCall({ method, path, body }: ApiCall, changes: Sent = {}): Promise<Response> {
  return send(method, path(), { ...(body ? { body: JSON.stringify(body()) } : {}), ...changes });
}

const refuse = (expected: readonly [number, string], request: () => Promise<Response>) =>
  refusal(database.pool, request, expected);

const asWorkspace = { key: keyOf('admin') };
const json = (value: unknown) => ({ ...asWorkspace, body: JSON.stringify(value) });

function pointers({ errors }: ProblemDocument): string[] {
  return (errors ?? []).map(({ pointer }) => pointer).sort();
}

test('this file knows every call that asks for a key', async () => {
  const { paths } = (await (await send('GET', '/openapi.json')).json()) as {
    paths: Record<string, Record<string, { security: unknown[] }>>;
  };
  const guarded = Object.entries(paths).flatMap(([route, methods]) =>
    Object.entries(methods)
      .filter(([, { security }]) => security.length > 0)
      .map(([method]) => `${method.toUpperCase()} ${route}`),
  );
  expect(CALLS.map(nameOf).sort()).toEqual(guarded.sort());
});

describe.each(CALLS.map((call) => [nameOf(call), call] as const))('%s', (_name, call) => {
  test('without a key, with a wrong one, or with a header that is no key is 401', async () => {
    const wrong: Sent[] = [
      { key: null },
      { key: 'a-key-that-nobody-has' },
      { key: keyOf('viewer').toUpperCase() },
      { key: null, headers: { authorization: 'Basic dXNlcjpwYXNz' } },
      { key: null, headers: { authorization: 'Bearer' } },
      { key: null, headers: { authorization: keyOf('admin') } },
    ];
    for (const one of wrong) {
      const { headers } = await refuse([401, 'unauthorized'], () => sendCall(call, one));
      expect(headers.get('www-authenticate')).toStartWith('Bearer');
    }
    // The key comes before the body: whoever has none learns nothing, and sends nothing that is read.
    if (call.body) await refuse([401, 'unauthorized'], () => sendCall(call, { key: null, body: '{' }));
  });

  test('with every role below its own is 403', async () => {
    const below = call.role === 'engine' ? ROLES : ROLES.slice(0, ROLES.indexOf(call.role));
    for (const role of below) await refuse([403, 'forbidden'], () => sendCall(call, { key: keyOf(role) }));
  });

  test('by another method is 405 and says which it takes', async () => {
    for (const method of ['PUT', 'PATCH', 'OPTIONS']) {
      const { headers } = await refuse([405, 'method_not_allowed'], () => send(method, call.path()));
      expect(headers.get('allow')!.split(', ')).toContain(call.method);
    }
  });
});

describe.each(WITH_BODY.map((call) => [nameOf(call), call] as const))('the body of %s', (_name, call) => {
  const isOptional = call.route.endsWith('/cancel');

  test('that is no JSON is 400', async () => {
    for (const body of ['{', '{"a":1,}', "{'a':1}", 'null null', '\u0000', '{"a":\u00a01}', '[1', 'nul'])
      await refuse([400, 'malformed_json'], () => sendCall(call, { body }));
    if (isOptional) return;
    for (const body of ['', ' \n']) await refuse([400, 'malformed_json'], () => sendCall(call, { body }));
  });

  test('that is no UTF-8 is 400', async () => {
    const body = Buffer.concat([
      Buffer.from('{"reason":"'),
      Buffer.from([0xc3, 0x28, 0xff]),
      Buffer.from('"}'),
    ]);
    await refuse([400, 'malformed_json'], () => sendCall(call, { body }));
    if (!call.takesYaml) return;
    const headers = { 'content-type': 'application/yaml' };
    await refuse([400, 'malformed_yaml'], () => sendCall(call, { body, headers }));
    await refuse([400, 'malformed_yaml'], () => sendCall(call, { body: 'a: [1', headers }));
  });

  test('that is no object is 422', async () => {
    const code = call.takesYaml ? 'invalid_definition' : 'validation_failed';
    for (const body of ['null', '[]', '"a"', '7', 'true']) {
      if (call.route.endsWith('/validate')) {
        const response = await sendCall(call, { body });
        expect([response.status, ((await response.json()) as { valid: boolean }).valid]).toEqual([
          200,
          false,
        ]);
      } else await refuse([422, code], () => sendCall(call, { body }));
    }
  });

  test('over the limit is 413, declared or in chunks without a length', async () => {
    const limit = call.takesYaml ? BODY_LIMIT / 2 : BODY_LIMIT;
    const text = JSON.stringify({ ...(call.body!() as object), description: 'x'.repeat(limit) });
    await refuse([413, 'body_too_large'], () => sendCall(call, { body: text }));
    await refuse([413, 'body_too_large'], () => sendCall(call, { body: inChunks(text) }));
  });

  test('in another media type, charset or coding is 415', async () => {
    const types = ['text/plain', 'application/xml', 'application/json; charset=utf-16', 'json', 'text/json'];
    if (!call.takesYaml) types.push('application/yaml');
    for (const type of types)
      await refuse([415, 'unsupported_media_type'], () =>
        sendCall(call, { headers: { 'content-type': type } }),
      );
    for (const coding of ['gzip', 'br'])
      await refuse([415, 'unsupported_media_type'], () =>
        sendCall(call, { headers: { 'content-encoding': coding } }),
      );
    // Bytes have no type of their own.
    const body = Buffer.from(JSON.stringify(call.body!()));
    await refuse([415, 'unsupported_media_type'], () =>
      fetch(engine.url + call.path(), {
        method: call.method,
        headers: { authorization: `Bearer ${OPERATOR_KEY}` },
        body,
      }),
    );
  });
});

/** 8 KiB at a time, with no Content-Length. */
function inChunks(text: string): ReadableStream<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.subarray(at, at + 8_192));
      at += 8_192;
    },
  });
}

describe('what is not there', () => {
  test('an unknown route is 404, with and without a key', async () => {
    for (const path of [
      '/nope',
      '/api/v1/nope',
      '/api/v2/execution/start',
      '/admin',
      `${START}/`,
      '/admin/executions/',
    ])
      for (const method of ['GET', 'POST', 'DELETE'])
        for (const key of [OPERATOR_KEY, null])
          await refuse([404, 'not_found'], () => send(method, path, { key }));
  });

  test('a call of a later release is 404', async () => {
    const body = JSON.stringify({ execution_id: running });
    for (const call of ['pause', 'resume', 'retry', 'fork', 'signal'])
      await refuse([404, 'not_found'], () => send('POST', `/api/v1/execution/${call}`, { body }));
    for (const path of ['/api/v1/schedules', '/api/v1/triggers', '/admin/queues', `/api/v1/steps/${UNKNOWN}`])
      await refuse([404, 'not_found'], () => send('GET', path));
  });

  test('an unknown execution is 404', async () => {
    for (const key of [OPERATOR_KEY, keyOf('admin')]) {
      await refuse([404, 'execution_not_found'], () =>
        send('GET', `/api/v1/execution/status?execution_id=${UNKNOWN}`, { key }),
      );
      await refuse([404, 'execution_not_found'], () =>
        send('GET', `/api/v1/execution/status?execution_id=${UNKNOWN}&wait=30s`, { key }),
      );
      const body = JSON.stringify({ execution_id: UNKNOWN, reason: 'none' });
      await refuse([404, 'execution_not_found'], () => send('POST', STOP, { key, body }));
    }
    await refuse([404, 'execution_not_found'], () => send('POST', `/admin/executions/${UNKNOWN}/cancel`));
  });

  test('an unknown template or version is 404', async () => {
    const items = [
      { template: 'nobody' },
      { template, version: 99 },
      { workflow_template_id: UNKNOWN },
      { workflow_template_id: templateId, version: 2 },
      { workflow_template_id: running },
    ];
    for (const item of items) {
      await refuse([404, 'template_not_found'], () => send('POST', START, json(item)));
      const { errors } = await refuse([404, 'template_not_found'], () =>
        send('POST', START_MANY, json({ items: [{ template }, item] })),
      );
      expect(errors![0]!.pointer).toStartWith('/items/1/');
    }
    await refuse([404, 'template_not_found'], () => send('GET', `${TEMPLATES}/nobody`, asWorkspace));
    await refuse([404, 'template_not_found'], () =>
      send('GET', `${TEMPLATES}/${template}?version=9`, asWorkspace),
    );
    await refuse([404, 'template_not_found'], () => send('DELETE', `${TEMPLATES}/nobody`, asWorkspace));
  });

  test("another workspace's object is 404, as if it were not there", async () => {
    const key = KEY_OF_B;
    const found = await refuse([404, 'execution_not_found'], () =>
      send('GET', `/api/v1/execution/status?execution_id=${running}`, { key }),
    );
    expect(found.detail.replace(running, UNKNOWN)).toBe(
      (
        await refuse([404, 'execution_not_found'], () =>
          send('GET', `/api/v1/execution/status?execution_id=${UNKNOWN}`, { key }),
        )
      ).detail,
    );
    const of = (value: unknown) => ({ key, body: JSON.stringify(value) });
    await refuse([404, 'execution_not_found'], () => send('POST', STOP, of({ execution_id: running })));
    for (const item of [{ template }, { workflow_template_id: templateId }]) {
      await refuse([404, 'template_not_found'], () => send('POST', START, of(item)));
      await refuse([404, 'template_not_found'], () => send('POST', START_MANY, of({ items: [item] })));
    }
    for (const method of ['GET', 'DELETE'])
      await refuse([404, 'template_not_found'], () => send(method, `${TEMPLATES}/${template}`, { key }));
    const named = { template, workspace_id: A };
    await refuse([403, 'forbidden'], () => send('POST', START, of(named)));
    await refuse([403, 'forbidden'], () => send('POST', START_MANY, of({ items: [named] })));
  });
});

describe('a validation that fails is 422', () => {
  const wrongItems: readonly [object, string[]][] = [
    [{}, ['']],
    [{ template: 't', workflow_template_id: UNKNOWN }, ['']],
    [{ template: 'no name' }, ['/template']],
    [{ template: '' }, ['/template']],
    [{ template: 't', verison: 1 }, ['/verison']],
    [{ template: 't', version: 0 }, ['/version']],
    [{ template: 't', version: 1.5 }, ['/version']],
    [{ template: 't', version: '1' }, ['/version']],
    [{ template: 't', version: 2 ** 31 }, ['/version']],
    [{ template: 't', priority: 1e7 }, ['/priority']],
    [{ template: 't', tags: ['', 1, 'x'.repeat(129)] }, ['/tags/0', '/tags/1', '/tags/2']],
    [{ template: 't', tags: 'a' }, ['/tags']],
    [{ template: 't', idempotency_key: '' }, ['/idempotency_key']],
    [{ template: 't', idempotency_key: 'a\nb' }, ['/idempotency_key']],
    [{ template: 't', idempotency_key: 'x'.repeat(256) }, ['/idempotency_key']],
    [{ template: 't', callback_url: 'ftp://a/b' }, ['/callback_url']],
    [{ template: 't', callback_url: 'https://user:password@a/b' }, ['/callback_url']],
    [{ template: 't', user_id: 'me', workspace_id: 7 }, ['/user_id', '/workspace_id']],
    ...['soon', '', '-1s', '3651d', '2027-01-01', '2027-01-01T00:00:00', '2027-02-30T00:00:00Z'].map(
      (start_after): [object, string[]] => [{ template: 't', start_after }, ['/start_after']],
    ),
    // Instants that ISO 8601 allows and no timestamptz column takes as they are.
    ...['0000-01-01T00:00:00Z', '0001-01-01T00:00:00+23:59', '9999-12-31T23:59:59-23:59'].map(
      (start_after): [object, string[]] => [{ template: 't', start_after }, ['/start_after']],
    ),
  ];

  test.each(wrongItems)('start, alone and among others: %j', async (item, wanted) => {
    const alone = await refuse([422, 'validation_failed'], () => send('POST', START, json(item)));
    expect(pointers(alone)).toEqual(wanted);
    const many = { items: [{ template }, item] };
    const among = await refuse([422, 'validation_failed'], () => send('POST', START_MANY, json(many)));
    expect(pointers(among)).toEqual(wanted.map((pointer) => `/items/1${pointer}`));
  });

  test('inputs that the schema of the template refuses', async () => {
    for (const inputs of [{ n: 'x' }, [], 'text', 7, { n: 1.5 }]) {
      await refuse([422, 'invalid_inputs'], () => send('POST', START, json({ template, inputs })));
      const items = [
        { template, inputs: { n: 1 } },
        { template, inputs },
      ];
      const { errors } = await refuse([422, 'invalid_inputs'], () =>
        send('POST', START_MANY, json({ items })),
      );
      expect(errors![0]!.pointer).toStartWith('/items/1');
    }
  });

  test('start-many of nothing, too many, or with a key for all', async () => {
    for (const body of [{}, { items: [] }, { items: {} }, { items: [null] }, { items: [[]] }])
      await refuse([422, 'validation_failed'], () => send('POST', START_MANY, json(body)));
    const items = Array.from({ length: 1_001 }, () => ({ template }));
    const many = await refuse([422, 'validation_failed'], () => send('POST', START_MANY, json({ items })));
    expect(many.errors).toMatchObject([{ pointer: '/items', code: 'too_big' }]);
    const headers = { 'idempotency-key': 'for-all' };
    await refuse([422, 'validation_failed'], () =>
      send('POST', START_MANY, { ...json({ items: [{ template }] }), headers }),
    );
  });

  test.each([
    ['GET', '/api/v1/execution/status'],
    ['GET', '/api/v1/execution/status?execution_id=7'],
    ['GET', `/api/v1/execution/status?execution_id=${UNKNOWN}&execution_id=${UNKNOWN}`],
    ['GET', `/api/v1/execution/status?execution_id=${UNKNOWN}&include=everything`],
    ...['soon', '-1s', '', '1.5.2s', 'Infinity'].map((wait) => [
      'GET',
      `/api/v1/execution/status?execution_id=${UNKNOWN}&wait=${wait}`,
    ]),
    ['GET', `/api/v1/execution/status?execution_id=${UNKNOWN}&unknown=1`],
    ['POST', '/admin/executions/7/cancel'],
    ['POST', '/admin/executions/%20/cancel'],
    ['GET', `${TEMPLATES}/no%20name`],
    ['GET', `${TEMPLATES}/%zz`],
    ['GET', `${TEMPLATES}/${'x'.repeat(129)}`],
    ['DELETE', `${TEMPLATES}/a%2fb`],
    ['GET', `${TEMPLATES}/a?version=0`],
    ['GET', `${TEMPLATES}/a?version=9999999999`],
    ['GET', `${TEMPLATES}/a?versoin=1`],
    ['DELETE', `${TEMPLATES}/a?version=1`],
  ] as [string, string][])('%s %s', async (method, path) => {
    await refuse([422, 'validation_failed'], () => send(method, path));
  });

  test('stop and cancel', async () => {
    const wrong = [{}, { execution_id: null }, { execution_id: '7' }, { execution_id: running, reason: 7 }];
    for (const body of [...wrong, { execution_id: running, reason: 'x'.repeat(1_001) }, { id: running }])
      await refuse([422, 'validation_failed'], () => send('POST', STOP, json(body)));
    for (const body of ['{"reason":7}', '{"execution_id":1}', '[]'])
      await refuse([422, 'validation_failed'], () =>
        send('POST', `/admin/executions/${running}/cancel`, { body }),
      );
  });

  test('a definition, with every problem at once', async () => {
    const wrong = {
      name: 'no name',
      stpes: {},
      steps: { a: { type: 'nope', needs: ['b'] }, c: { type: 'noop', needs: ['c'] } },
    };
    const { errors } = await refuse([422, 'invalid_definition'], () => send('POST', TEMPLATES, json(wrong)));
    expect(errors!.length).toBeGreaterThanOrEqual(4);
    const response = await send('POST', `${TEMPLATES}/validate`, json(wrong));
    expect(await response.json()).toMatchObject({ valid: false, errors });
  });
});

describe('a conflict', () => {
  test('an idempotency key that was used for something else is 409', async () => {
    const used = { idempotency_key: 'used' };
    for (const item of [
      { template, inputs: { n: 2 } },
      { template },
      { template, version: 1, inputs: { n: 1 } },
    ]) {
      await refuse([409, 'idempotency_conflict'], () => send('POST', START, json({ ...item, ...used })));
      const headers = { 'idempotency-key': 'used' };
      await refuse([409, 'idempotency_conflict'], () => send('POST', START, { ...json(item), headers }));
      await refuse([409, 'idempotency_conflict'], () =>
        send('POST', START_MANY, json({ items: [{ template }, { ...item, ...used }] })),
      );
    }
    const twice = { template, idempotency_key: 'twice' };
    await refuse([409, 'idempotency_conflict'], () =>
      send('POST', START_MANY, json({ items: [twice, { ...twice, inputs: { n: 1 } }] })),
    );
  });

  test('a key that differs in header and body, or is none, is 422', async () => {
    const item = json({ template, idempotency_key: 'one' });
    await refuse([422, 'idempotency_mismatch'], () =>
      send('POST', START, { ...item, headers: { 'idempotency-key': 'other' } }),
    );
    for (const key of ['', 'a b', 'x'.repeat(256)])
      await refuse([422, 'validation_failed'], () =>
        send('POST', START, { ...json({ template }), headers: { 'idempotency-key': key } }),
      );
  });
});

test('after all of it the engine works on, and the calls that were refused succeed when they are right', async () => {
  expect((await send('GET', '/health/ready', { key: null })).status).toBe(200);
  const id = await a.start(template);
  expect((await a.client.status(id)).status).toBe('running');
  for (const held of [id, running]) {
    const cancel = await send('POST', `/admin/executions/${held}/cancel`);
    expect(await cancel.json()).toMatchObject({ status: 'cancelled' });
  }
  expect((await a.run({ steps: { last: { type: 'noop' } } })).status).toBe('completed');
});
