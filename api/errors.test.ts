/** Every line of the error table, as a client meets it. */
import { describe, expect, test } from 'bun:test';
import { EngineError, ERROR_STATUS, type ErrorCode } from '../core/problem.ts';
import { createTestApp, LOOPBACK, problemOf } from '../tests/support/api/test-app.ts';

const UNKNOWN_ID = '11111111-1111-1111-1111-111111111111';
const START = '/api/v1/execution/start';

describe('a request that names nothing known', () => {
  test('an unknown route is 404', async () => {
    const { send } = createTestApp();
    await problemOf(await send('GET', '/nope'), 404, 'not_found');
    await problemOf(await send('GET', '//admin/executions'), 404, 'not_found');
    await problemOf(await send('GET', '/admin/executions/'), 404, 'not_found');
  });

  test('a call of a later release is 404', async () => {
    const { send } = createTestApp();
    for (const path of ['/api/v1/schedules', '/api/v1/triggers', '/api/v1/events'])
      await problemOf(await send('POST', path, {}), 404, 'not_found');
  });

  test('another method on a known path is 405 and says which are allowed', async () => {
    const { send } = createTestApp();
    const response = await send('PUT', '/api/v1/templates/a', {});
    expect(response.headers.get('allow')).toBe('GET, HEAD, DELETE');
    await problemOf(response, 405, 'method_not_allowed');
    expect((await send('GET', START)).headers.get('allow')).toBe('POST');
  });

  test('an unknown execution is 404, whoever asks', async () => {
    const { send } = createTestApp();
    await problemOf(
      await send('GET', `/api/v1/execution/status?execution_id=${UNKNOWN_ID}`),
      404,
      'execution_not_found',
    );
    await problemOf(
      await send('POST', '/api/v1/execution/stop', { execution_id: UNKNOWN_ID }),
      404,
      'execution_not_found',
    );
    await problemOf(await send('POST', `/admin/executions/${UNKNOWN_ID}/cancel`), 404, 'execution_not_found');
  });
});

describe('a body that cannot be read', () => {
  test('malformed JSON is 400', async () => {
    const { send, ports } = createTestApp();
    for (const body of ['{', '', ' ', '{"template": "a",}', 'null null']) {
      await problemOf(await send('POST', START, body), 400, 'malformed_json');
    }
    expect(ports.calls).toEqual([]);
  });

  test('bytes that are no UTF-8 are 400', async () => {
    const { app } = createTestApp();
    const body = new Uint8Array([0x22, 0xff, 0x22]);
    const init = { method: 'POST', body, headers: { 'content-type': 'application/json' } };
    await problemOf(await app.request(START, init, LOOPBACK), 400, 'malformed_json');
    const yaml = { ...init, headers: { 'content-type': 'application/yaml' } };
    await problemOf(await app.request('/api/v1/templates', yaml, LOOPBACK), 400, 'malformed_yaml');
  });

  test('malformed YAML is 400', async () => {
    const { send } = createTestApp();
    const init = { headers: { 'content-type': 'text/yaml' } };
    await problemOf(await send('POST', '/api/v1/templates', 'a: [1', init), 400, 'malformed_yaml');
    await problemOf(await send('POST', '/api/v1/templates', ' \n', init), 400, 'malformed_yaml');
  });

  test('a body over the limit is 413, with and without Content-Length', async () => {
    const { app, send } = createTestApp();
    await problemOf(
      await send('POST', START, { template: 'a', inputs: 'x'.repeat(20_000) }),
      413,
      'body_too_large',
    );
    const chunk = new TextEncoder().encode('x'.repeat(15_000));
    let sent = 0;
    const body = new ReadableStream({
      pull: (controller) => (sent++ < 1_000 ? controller.enqueue(chunk) : controller.close()),
    });
    const init = { method: 'POST', body, headers: { 'content-type': 'application/json' } };
    await problemOf(await app.request(START, init, LOOPBACK), 413, 'body_too_large');
    expect(sent).toBeLessThan(10);
  });

  test('a definition has a smaller limit of its own', async () => {
    const { send } = createTestApp();
    await problemOf(
      await send('POST', '/api/v1/templates', { name: 'x'.repeat(6_000) }),
      413,
      'body_too_large',
    );
  });

  test('another media type, charset or coding is 415', async () => {
    const { send } = createTestApp();
    const headers = [
      { 'content-type': 'text/plain' },
      { 'content-type': 'application/yaml' },
      { 'content-type': 'application/json; charset=utf-16' },
      { 'content-type': 'application/json', 'content-encoding': 'gzip' },
    ];
    for (const one of headers) {
      await problemOf(
        await send('POST', START, '{"template":"a"}', { headers: one }),
        415,
        'unsupported_media_type',
      );
    }
  });

  test('values that no database column holds are refused', async () => {
    const { send } = createTestApp();
    await problemOf(await send('POST', START, '{"template":"a","inputs":"\\u0000"}'), 422, 'not_storable');
    await problemOf(await send('POST', START, '{"template":"a","inputs":"\\ud800"}'), 422, 'not_storable');
    await problemOf(await send('GET', '/admin/executions?q=%00'), 422, 'not_storable');
    const deep = `{"template":"a","inputs":${'['.repeat(5_000)}${']'.repeat(5_000)}}`;
    expect((await send('POST', START, deep)).status).toBe(422);
  });
});

describe('a request that is well formed and wrong', () => {
  test('all findings come at once, each with its place, code and way out', async () => {
    const { send } = createTestApp();
    const body = { template: 'a', inptus: {}, priority: 'high', tags: ['ok', 1], user_id: 'me' };
    const { errors } = await problemOf(await send('POST', START, body), 422, 'validation_failed');
    const places = errors!.map(({ pointer, code }) => `${pointer} ${code}`).sort();
    expect(places).toEqual([
      '/inptus unknown_field',
      '/priority wrong_type',
      '/tags/1 wrong_type',
      '/user_id wrong_format',
    ]);
    expect(errors!.find(({ pointer }) => pointer === '/inptus')?.message).toContain('Did you mean "inputs"?');
  });

  test('an unknown field of an item names the item', async () => {
    const { send } = createTestApp();
    const items = [{ template: 'a' }, { template: 'a', verison: 1 }];
    const { errors } = await problemOf(
      await send('POST', '/api/v1/execution/start-many', { items }),
      422,
      'validation_failed',
    );
    expect(errors).toEqual([
      {
        pointer: '/items/1/verison',
        code: 'unknown_field',
        message: '"verison" is not known here. Did you mean "version"?',
      },
    ]);
  });

  test('__proto__ is a field like any other that nobody knows', async () => {
    const { send, ports } = createTestApp();
    expect((await send('POST', START, '{"template":"a","__proto__":{"admin":true}}')).status).toBe(422);
    expect(ports.calls).toEqual([]);
  });

  test('a body that is no object is refused', async () => {
    const { send } = createTestApp();
    for (const body of ['null', '[]', '"a"', '7']) {
      await problemOf(await send('POST', START, body), 422, 'validation_failed');
    }
  });

  test('a malformed id is 422 wherever it stands', async () => {
    const { send } = createTestApp();
    await problemOf(await send('GET', '/api/v1/execution/status?execution_id=7'), 422, 'validation_failed');
    await problemOf(await send('GET', '/api/v1/execution/status'), 422, 'validation_failed');
    await problemOf(
      await send('POST', '/api/v1/execution/stop', { execution_id: '7' }),
      422,
      'validation_failed',
    );
    await problemOf(await send('POST', '/admin/executions/7/cancel'), 422, 'validation_failed');
    await problemOf(await send('GET', '/api/v1/templates/no%20name'), 422, 'validation_failed');
  });

  test('an unknown, repeated or wrong query parameter is 422', async () => {
    const { send } = createTestApp();
    for (const query of [
      'stauts=failed',
      'status=nope',
      'status=failed&status=running',
      'limit=0',
      'since=yesterday',
    ]) {
      await problemOf(await send('GET', `/admin/executions?${query}`), 422, 'validation_failed');
    }
  });
});

describe('what a service throws', () => {
  test('every code of the engine becomes its status, with the problems', async () => {
    const { send, ports } = createTestApp();
    for (const code of Object.keys(ERROR_STATUS) as ErrorCode[]) {
      ports.before = () => {
        throw new EngineError(code, 'A sentence.', [{ pointer: '/a', code: 'invalid', message: 'c' }]);
      };
      const response = await send('GET', '/api/v1/templates');
      const problem = await problemOf(response, ERROR_STATUS[code], code);
      expect(problem).toMatchObject({
        detail: 'A sentence.',
        errors: [{ pointer: '/a', code: 'invalid', message: 'c' }],
      });
      expect(problem.type).toBe(`urn:execution-engine:problem:${code}`);
    }
  });

  test('a client is told when to come back', async () => {
    const { send, ports } = createTestApp();
    ports.before = () => {
      throw new EngineError('unavailable', 'The database does not answer.');
    };
    expect((await send('GET', '/api/v1/templates')).headers.get('retry-after')).toBe('1');
  });

  test('an unexpected error is logged once with its cause and tells the caller nothing but the request id', async () => {
    const { send, ports, logged } = createTestApp();
    const cause = new Error('relation "secret_table" does not exist');
    ports.before = () => {
      throw new Error('query failed', { cause });
    };
    const response = await send('GET', '/api/v1/templates', undefined, {
      headers: { 'x-request-id': 'abc-1' },
    });
    const problem = await problemOf(response, 500, 'internal');
    expect(JSON.stringify(problem)).not.toMatch(/secret_table|query failed|\.ts/);
    expect(problem.request_id).toBe('abc-1');
    expect(response.headers.get('x-request-id')).toBe('abc-1');
    expect(logged).toHaveLength(1);
    expect(logged[0]!.fields).toMatchObject({
      request_id: 'abc-1',
      method: 'GET',
      route: '/api/v1/templates',
    });
    expect((logged[0]!.fields.err as Error).cause).toBe(cause);
  });

  test('a request id that could forge log lines is replaced', async () => {
    const { send } = createTestApp();
    const response = await send('GET', '/nope', undefined, {
      headers: { 'x-request-id': 'a b {"level":1}' },
    });
    expect(response.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });
});
