/** The callers that are admitted, with and without keys. */
import { describe, expect, test } from 'bun:test';
import { createTestApp, keyOf, LOOPBACK, problemOf } from '../tests/support/api/test-app.ts';
import { isLoopbackAddress, isLoopbackHost } from './auth.ts';

const WORKSPACE = '0197a3c4-5b6d-7e8f-9012-3456789abcde';
const OTHER = '0197a3c4-5b6d-7e8f-9012-3456789abcdf';
const ID = '11111111-1111-1111-1111-111111111111';
const KEYS = [
  keyOf('root-key', { workspaceId: null, admin: true, role: 'admin' }),
  keyOf('team-key', { workspaceId: WORKSPACE, admin: false, role: 'editor' }),
  keyOf('chief-key', { workspaceId: WORKSPACE, admin: false, role: 'admin' }),
  keyOf('operator-key', { workspaceId: WORKSPACE, admin: false, role: 'operator' }),
  keyOf('viewer-key', { workspaceId: WORKSPACE, admin: false, role: 'viewer' }),
];

const as = (key: string) => ({ headers: { authorization: `Bearer ${key}` } });

describe('with keys', () => {
  test('no key, a wrong key and another scheme are 401', async () => {
    const { send } = createTestApp({ keys: KEYS });
    const attempts = [
      {},
      as('wrong'),
      as('root-key2'),
      { headers: { authorization: 'Basic root-key' } },
      { headers: { authorization: 'Bearer' } },
    ];
    for (const init of attempts) {
      const response = await send('GET', '/api/v1/templates', undefined, init);
      expect(response.headers.get('www-authenticate')).toStartWith('Bearer');
      await problemOf(response, 401, 'unauthorized');
    }
  });

  test('every documented call but the open ones asks for a key before it looks at anything else', async () => {
    const { send } = createTestApp({ keys: KEYS });
    const document = (await (await send('GET', '/openapi.json')).json()) as {
      paths: Record<string, Record<string, unknown>>;
    };
    const open: string[] = [];
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const method of Object.keys(methods)) {
        const response = await send(
          method.toUpperCase(),
          path.replace(/\{\w+\}/, 'no%20name'),
          method === 'post' ? '{' : undefined,
        );
        if (response.status === 401) continue;
        open.push(path);
      }
    }
    expect(open.sort()).toEqual([
      '/docs',
      '/health',
      '/health/live',
      '/health/ready',
      '/hooks/{token}',
      '/openapi.json',
      '/schema/definition.json',
    ]);
  });

  test('a key of a workspace reaches the service as that workspace', async () => {
    const { send, ports } = createTestApp({ keys: KEYS });
    expect((await send('GET', '/api/v1/templates', undefined, as('team-key'))).status).toBe(200);
    expect(ports.calls[0]!.caller).toMatchObject({ workspaceId: WORKSPACE, admin: false });
  });

  test('a key of a workspace is not let into administration and metrics', async () => {
    const { send, ports } = createTestApp({ keys: KEYS });
    await problemOf(await send('GET', '/admin/doctor', undefined, as('team-key')), 403, 'forbidden');
    await problemOf(await send('GET', '/admin/doctor', undefined, as('chief-key')), 403, 'forbidden');
    await problemOf(
      await send('POST', `/admin/executions/${ID}/cancel`, undefined, as('team-key')),
      403,
      'forbidden',
    );
    await problemOf(await send('GET', '/metrics', undefined, as('team-key')), 403, 'forbidden');
    expect(ports.calls).toEqual([]);
    expect((await send('GET', '/metrics', undefined, as('root-key'))).status).toBe(200);
  });

  test('a role may do what weaker ones may, and no more', async () => {
    const { send } = createTestApp({ keys: KEYS });
    const publish = (key: string) => send('POST', '/api/v1/templates', { name: 'a', steps: {} }, as(key));
    const start = (key: string) => send('POST', '/api/v1/execution/start', { template: 'a' }, as(key));
    await problemOf(await publish('viewer-key'), 403, 'forbidden');
    await problemOf(await publish('operator-key'), 403, 'forbidden');
    expect((await publish('team-key')).status).toBe(201);
    await problemOf(await start('viewer-key'), 403, 'forbidden');
    expect((await start('operator-key')).status).toBe(202);
    expect((await send('GET', '/api/v1/templates/a', undefined, as('viewer-key'))).status).toBe(200);
  });

  test('a workspace_id other than the one of the key is 403, also deep in a list', async () => {
    const { send, ports } = createTestApp({ keys: KEYS });
    const start = { template: 'a', workspace_id: OTHER };
    await problemOf(await send('POST', '/api/v1/execution/start', start, as('team-key')), 403, 'forbidden');
    const items = [{ template: 'a', workspace_id: WORKSPACE.toUpperCase() }, start];
    await problemOf(
      await send('POST', '/api/v1/execution/start-many', { items }, as('team-key')),
      403,
      'forbidden',
    );
    expect(ports.calls).toEqual([]);
  });

  test('a foreign address, a foreign Host and a proxy are served', async () => {
    const { app } = createTestApp({ keys: KEYS });
    const init = {
      headers: {
        ...as('team-key').headers,
        host: 'engine.example',
        origin: 'https://shop.example',
        'x-forwarded-for': '203.0.113.7',
      },
    };
    expect((await app.request('/api/v1/templates', init, { remoteAddress: '203.0.113.7' })).status).toBe(200);
  });
});

describe('without keys', () => {
  test('everybody on this machine is an admin of no workspace', async () => {
    const { send, ports } = createTestApp();
    expect((await send('GET', '/admin/executions')).status).toBe(200);
    expect(ports.calls[0]!.caller).toMatchObject({ workspaceId: null, admin: true });
  });

  test('another machine, and one that is not known, is refused', async () => {
    const { app } = createTestApp();
    for (const remoteAddress of ['203.0.113.7', '10.0.0.2', '::ffff:10.0.0.2', 'fe80::1', undefined, '']) {
      await problemOf(await app.request('/health', {}, { remoteAddress }), 403, 'forbidden');
    }
  });

  test('a name that a web page rebound to this machine is refused', async () => {
    const { app } = createTestApp();
    for (const host of [
      'evil.example',
      'localhost.evil.example:3020',
      '203.0.113.7',
      '127.0.0.1@evil.example',
    ]) {
      await problemOf(
        await app.request('/api/v1/templates', { headers: { host } }, LOOPBACK),
        403,
        'forbidden',
      );
    }
  });

  test('a request that a proxy passes on is refused, with the way out', async () => {
    const { send, ports } = createTestApp();
    for (const [name, value] of [
      ['X-Forwarded-For', '203.0.113.7'],
      ['x-forwarded-for', '127.0.0.1'],
      ['Forwarded', 'for=203.0.113.7;proto=https'],
      ['X-Forwarded-Host', 'engine.example'],
      ['X-Forwarded-Proto', 'https'],
      ['X-Real-IP', '203.0.113.7'],
      ['Via', '1.1 proxy'],
    ] as const) {
      const init = { headers: { [name]: value } };
      for (const path of ['/admin/executions', '/health']) {
        const { detail } = await problemOf(await send('GET', path, undefined, init), 403, 'forbidden');
        expect(detail).toContain(name.toLowerCase());
        expect(detail).toContain('EXECUTION_ENGINE_API_KEYS');
      }
    }
    expect(ports.calls).toEqual([]);
  });

  test('a page of another site is refused and the own pages are not', async () => {
    const { app } = createTestApp();
    const ask = (origin: string) =>
      app.request('/api/v1/templates', { headers: { host: 'localhost:3020', origin } }, LOOPBACK);
    for (const origin of ['https://evil.example', 'null', 'http://localhost:8080', 'nonsense']) {
      await problemOf(await ask(origin), 403, 'forbidden');
    }
    expect((await ask('http://localhost:3020')).status).toBe(200);
  });
});

test('loopback has many spellings', () => {
  for (const address of ['127.0.0.1', '127.8.8.8', '::1', '::ffff:127.0.0.1', '0:0:0:0:0:0:0:1']) {
    expect([address, isLoopbackAddress(address)]).toEqual([address, true]);
  }
  for (const host of ['localhost', 'LOCALHOST:3020', 'a.localhost:1', '127.0.0.1:3020', '[::1]:3020']) {
    expect([host, isLoopbackHost(host)]).toEqual([host, true]);
  }
  for (const host of ['', '0.0.0.0', 'localhost.example', 'notlocalhost', '[::2]', '10.0.0.1']) {
    expect([host, isLoopbackHost(host)]).toEqual([host, false]);
  }
});
