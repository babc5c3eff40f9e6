/**
 * Every line of the list of errors that all calls share, for every call at a real engine: the answer is a problem
 * document, and no row has changed.
 */
import { describe, expect, test } from 'bun:test';
import { BULK_ACTS } from '../../../services/control/bulk-answers.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import {
  AT_REST,
  BODY_LIMIT,
  type GuardedEngine,
  guardedEngine,
  keyOf,
  OPERATOR_KEY,
  ROLES,
  type Role,
  type Sent,
} from '../../support/guarded-engine.ts';

/** A call of the API: who may make it, and parts that make it succeed. */
interface ApiCall {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** As the OpenAPI document has it. */
  readonly route: string;
  readonly role: Role | 'engine';
  readonly path: () => string;
  readonly body?: () => unknown;
  readonly takesYaml?: boolean;
  /** The body may be left out. */
  readonly takesNoBody?: boolean;
}

let room: GuardedEngine;

fixtureForAll(async (fixture) => {
  room = await guardedEngine(fixture);
}, AT_REST);

const START = '/api/v1/execution/start';
const START_MANY = '/api/v1/execution/start-many';
const STOP = '/api/v1/execution/stop';
const TEMPLATES = '/api/v1/templates';
const definition = () => ({ name: 'never-published', steps: { a: { type: 'noop' } } });

const CALLS: readonly ApiCall[] = [
  {
    method: 'POST',
    route: START,
    role: 'operator',
    path: () => START,
    body: () => ({ template: room.template }),
  },
  {
    method: 'POST',
    route: START_MANY,
    role: 'operator',
    path: () => START_MANY,
    body: () => ({ items: [{ template: room.template }] }),
  },
  {
    method: 'GET',
    route: '/api/v1/execution/status',
    role: 'viewer',
    path: () => `/api/v1/execution/status?execution_id=${room.running}`,
  },
  {
    method: 'GET',
    route: '/api/v1/execution/scopes',
    role: 'viewer',
    path: () => `/api/v1/execution/scopes?execution_id=${room.running}&step=held`,
  },
  {
    method: 'GET',
    route: '/api/v1/execution/compare',
    role: 'viewer',
    path: () => `/api/v1/execution/compare?a=${room.running}&b=${room.running}`,
  },
  {
    method: 'GET',
    route: '/api/v1/execution/state',
    role: 'viewer',
    path: () => `/api/v1/execution/state?execution_id=${room.running}`,
  },
  {
    method: 'POST',
    route: STOP,
    role: 'operator',
    path: () => STOP,
    body: () => ({ execution_id: room.running }),
  },
  {
    method: 'POST',
    route: '/api/v1/execution/signal',
    role: 'operator',
    path: () => '/api/v1/execution/signal',
    body: () => ({ execution_id: room.running, signal: 'none' }),
  },
  {
    method: 'POST',
    route: '/api/v1/execution/fork',
    role: 'operator',
    path: () => '/api/v1/execution/fork',
    body: () => ({ execution_id: room.running, from: 'none' }),
  },
  {
    method: 'POST',
    route: '/api/v1/execution/retry',
    role: 'operator',
    path: () => '/api/v1/execution/retry',
    body: () => ({ execution_id: room.running, from: 'none' }),
  },
  ...['pause', 'resume'].map(
    (what): ApiCall => ({
      method: 'POST',
      route: `/api/v1/execution/${what}`,
      role: 'operator',
      path: () => `/api/v1/execution/${what}`,
      body: () => ({ execution_id: room.running, dry_run: true }),
    }),
  ),
  {
    method: 'POST',
    route: '/api/v1/execution/migrate',
    role: 'operator',
    path: () => '/api/v1/execution/migrate',
    body: () => ({ execution_id: room.running, version: 9 }),
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
  {
    method: 'GET',
    route: `${TEMPLATES}/{name}`,
    role: 'viewer',
    path: () => `${TEMPLATES}/${room.template}`,
  },
  {
    method: 'GET',
    route: `${TEMPLATES}/{name}/graph`,
    role: 'viewer',
    path: () => `${TEMPLATES}/${room.template}/graph`,
  },
  {
    method: 'DELETE',
    route: `${TEMPLATES}/{name}`,
    role: 'editor',
    path: () => `${TEMPLATES}/${room.template}`,
  },
  { method: 'GET', route: '/api/v1/forms', role: 'viewer', path: () => '/api/v1/forms' },
  {
    method: 'GET',
    route: '/api/v1/steps/{id}',
    role: 'viewer',
    path: () => `/api/v1/steps/${room.step}`,
  },
  {
    method: 'POST',
    route: '/api/v1/steps/{id}/complete',
    role: 'operator',
    path: () => `/api/v1/steps/${room.step}/complete`,
    body: () => ({ output: null }),
  },
  {
    method: 'POST',
    route: '/api/v1/steps/{id}/fail',
    role: 'operator',
    path: () => `/api/v1/steps/${room.step}/fail`,
    body: () => ({ error: { code: 'none', message: 'none' } }),
  },
  {
    method: 'POST',
    route: '/api/v1/steps/{id}/skip',
    role: 'operator',
    path: () => `/api/v1/steps/${room.step}/skip`,
    body: () => ({ force: true, dry_run: true }),
  },
  {
    method: 'POST',
    route: '/api/v1/tasks/claim',
    role: 'operator',
    path: () => '/api/v1/tasks/claim',
    body: () => ({ queue: 'none', worker: 'none' }),
  },
  ...(['heartbeat', 'complete', 'fail'] as const).map((what) => ({
    method: 'POST' as const,
    route: `/api/v1/tasks/{id}/${what}`,
    role: 'operator' as const,
    path: () => `/api/v1/tasks/${room.step}/${what}`,
    body: () => ({
      token: room.step,
      ...(what === 'fail' ? { error: { code: 'none', message: 'none' } } : {}),
    }),
  })),
  ...(['queues', 'workers'] as const).map((what) => ({
    method: 'GET' as const,
    route: `/admin/${what}`,
    role: 'engine' as const,
    path: () => `/admin/${what}`,
  })),
  {
    method: 'GET',
    route: '/api/v1/execution/explain',
    role: 'viewer',
    path: () => `/api/v1/execution/explain?execution_id=${room.running}`,
  },
  { method: 'GET', route: '/admin/stats', role: 'viewer', path: () => '/admin/stats' },
  ...['events', 'event-log'].map(
    (what): ApiCall => ({
      method: 'GET',
      route: `/api/v1/execution/${what}`,
      role: 'viewer',
      path: () => `/api/v1/execution/${what}?execution_id=${room.running}`,
    }),
  ),
  { method: 'GET', route: '/admin/executions', role: 'viewer', path: () => '/admin/executions' },
  ...BULK_ACTS.map(
    (act): ApiCall => ({
      method: 'POST',
      route: `/admin/executions/${act}`,
      role: 'operator',
      path: () => `/admin/executions/${act}`,
      body: () => ({ filter: { template: room.template }, dry_run: true }),
    }),
  ),
  { method: 'GET', route: '/admin/incidents', role: 'viewer', path: () => '/admin/incidents' },
  ...['resume', 'fail'].map(
    (act): ApiCall => ({
      method: 'POST',
      route: `/admin/incidents/{id}/${act}`,
      role: 'operator',
      path: () => `/admin/incidents/none/${act}`,
      body: () => ({ dry_run: true }),
      takesNoBody: true,
    }),
  ),
  {
    method: 'POST',
    route: '/admin/executions/{id}/cancel',
    role: 'engine',
    path: () => `/admin/executions/${room.running}/cancel`,
    body: () => ({ reason: 'none' }),
    takesNoBody: true,
  },
  { method: 'GET', route: '/admin/doctor', role: 'engine', path: () => '/admin/doctor' },
  { method: 'POST', route: '/admin/doctor/repair', role: 'engine', path: () => '/admin/doctor/repair' },
  { method: 'GET', route: '/metrics', role: 'engine', path: () => '/metrics' },
];
const WITH_BODY = CALLS.filter(({ body }) => body !== undefined);
const nameOf = ({ method, route }: ApiCall) => `${method} ${route}`;

/** The call as it would succeed, with changes. */
function sendCall({ method, path, body }: ApiCall, changes: Sent = {}): Promise<Response> {
  return room.send(method, path(), { ...(body ? { body: JSON.stringify(body()) } : {}), ...changes });
}

test('this file knows every call that asks for a key', async () => {
  const { paths } = (await (await room.send('GET', '/openapi.json')).json()) as {
    paths: Record<string, Record<string, { security: unknown[] }>>;
  };
  const guarded = Object.entries(paths).flatMap(([route, methods]) =>
    Object.entries(methods)
      .filter(([, { security }]) => security.length > 0)
      .map(([method]) => `${method.toUpperCase()} ${route}`),
  );
  expect(CALLS.map(nameOf).sort()).toEqual(guarded.sort());
});

test('a key in other letters is a wrong one', async () => {
  const key = keyOf('viewer').toUpperCase();
  await room.refuse([401, 'unauthorized'], () => sendCall(CALLS[0]!, { key }));
});

/** An address that sends many wrong keys within a minute is answered 429. */
const MAX_WRONG_KEYS = 15;

// One wrong key for each of the first calls.
describe.each(CALLS.map((call) => [nameOf(call), call] as const))('%s', (_name, call) => {
  test('without a key, with a wrong one, or with a header that is no key is 401', async () => {
    const wrong: Sent[] = [
      { key: null },
      ...(CALLS.indexOf(call) < MAX_WRONG_KEYS ? [{ key: 'a-key-that-nobody-has' }] : []),
      { key: null, headers: { authorization: 'Basic dXNlcjpwYXNz' } },
      { key: null, headers: { authorization: 'Bearer' } },
      { key: null, headers: { authorization: keyOf('admin') } },
    ];
    for (const one of wrong) {
      const { headers } = await room.refuse([401, 'unauthorized'], () => sendCall(call, one));
      expect(headers.get('www-authenticate')).toStartWith('Bearer');
    }
    // The key comes before the body: whoever has none learns nothing, and sends nothing that is read.
    if (call.body) await room.refuse([401, 'unauthorized'], () => sendCall(call, { key: null, body: '{' }));
  });

  test('with every role below its own is 403', async () => {
    const below = call.role === 'engine' ? ROLES : ROLES.slice(0, ROLES.indexOf(call.role));
    for (const role of below)
      await room.refuse([403, 'forbidden'], () => sendCall(call, { key: keyOf(role) }));
  });

  test('by another method is 405 and says which it takes', async () => {
    for (const method of ['PUT', 'PATCH', 'OPTIONS']) {
      const { headers } = await room.refuse([405, 'method_not_allowed'], () =>
        room.send(method, call.path()),
      );
      expect(headers.get('allow')!.split(', ')).toContain(call.method);
    }
  });
});

describe.each(WITH_BODY.map((call) => [nameOf(call), call] as const))('the body of %s', (_name, call) => {
  test('that is no JSON is 400', async () => {
    for (const body of ['{', '{"a":1,}', "{'a':1}", 'null null', '\u0000', '{"a":\u00a01}', '[1', 'nul'])
      await room.refuse([400, 'malformed_json'], () => sendCall(call, { body }));
    if (call.takesNoBody) return;
    for (const body of ['', ' \n'])
      await room.refuse([400, 'malformed_json'], () => sendCall(call, { body }));
  });

  test('that is no UTF-8 is 400', async () => {
    const body = Buffer.concat([
      Buffer.from('{"reason":"'),
      Buffer.from([0xc3, 0x28, 0xff]),
      Buffer.from('"}'),
    ]);
    await room.refuse([400, 'malformed_json'], () => sendCall(call, { body }));
    if (!call.takesYaml) return;
    const headers = { 'content-type': 'application/yaml' };
    await room.refuse([400, 'malformed_yaml'], () => sendCall(call, { body, headers }));
    await room.refuse([400, 'malformed_yaml'], () => sendCall(call, { body: 'a: [1', headers }));
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
      } else await room.refuse([422, code], () => sendCall(call, { body }));
    }
  });

  test('over the limit is 413, declared or in chunks without a length', async () => {
    const limit = call.takesYaml ? BODY_LIMIT / 2 : BODY_LIMIT;
    const text = JSON.stringify({ ...(call.body!() as object), description: 'x'.repeat(limit) });
    await room.refuse([413, 'body_too_large'], () => sendCall(call, { body: text }));
    await room.refuse([413, 'body_too_large'], () => sendCall(call, { body: inChunks(text) }));
  });

  test('in another media type, charset or coding is 415', async () => {
    const types = ['text/plain', 'application/xml', 'application/json; charset=utf-16', 'json', 'text/json'];
    if (!call.takesYaml) types.push('application/yaml');
    for (const type of types)
      await room.refuse([415, 'unsupported_media_type'], () =>
        sendCall(call, { headers: { 'content-type': type } }),
      );
    for (const coding of ['gzip', 'br'])
      await room.refuse([415, 'unsupported_media_type'], () =>
        sendCall(call, { headers: { 'content-encoding': coding } }),
      );
    // Bytes have no type of their own.
    const body = Buffer.from(JSON.stringify(call.body!()));
    await room.refuse([415, 'unsupported_media_type'], () =>
      fetch(room.engine.url + call.path(), {
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
