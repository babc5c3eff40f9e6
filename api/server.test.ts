/** The API behind a real socket. */
import { afterAll, describe, expect, test } from 'bun:test';
import { connect } from 'node:net';
import { createTestApp, LIMITS, problemOf } from '../tests/support/api/test-app.ts';
import type { AppDependencies } from './app.ts';
import { listenOnBun } from './bun-socket.ts';
import { listenOnNode } from './node-socket.ts';
import { type RunningServer, serve } from './server.ts';
import type { Listen } from './socket.ts';

const running: RunningServer[] = [];
afterAll(() => Promise.all(running.map((server) => server.stop(0))));

/** Sends bytes as they are and reads until the other side is done or the head has come. */
function sendRaw(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    let received = '';
    const done = () => {
      socket.destroy();
      resolve(received);
    };
    socket.on('data', (data) => {
      received += data;
      if (received.includes('\r\n\r\n')) done();
    });
    socket.on('error', reject);
    socket.on('close', done);
  });
}

/** Sends bytes, then the same few again and again, until the other side closes; resolves with its answer. */
function untilClosed(port: number, bytes: string, drop: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    const dripping = setInterval(() => socket.writable && socket.write(drop), 10);
    let received = '';
    socket.on('data', (data) => {
      received += data;
    });
    // The other side may close while bytes are on their way.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearInterval(dripping);
      resolve(received);
    });
  });
}

describe.each([
  ['Bun', listenOnBun],
  ['Node', listenOnNode],
])('a server by the socket of %s', (_runtime, listen) => {
  const served = async (deps: Partial<AppDependencies> = {}, headMs?: number) => {
    const test = createTestApp({ deps });
    const bind: Listen = (app, address, draining) => listen(app, address, draining, headMs);
    const server = await serve(test.app, { host: '127.0.0.1', port: 0 }, bind);
    running.push(server);
    return { ...test, server };
  };

  test('serves its own machine and knows the address of its clients', async () => {
    const { server } = await served();
    expect((await fetch(`${server.url}/health`)).status).toBe(200);
    expect((await fetch(`${server.url}/admin/executions`)).status).toBe(200);
  });

  test('refuses a rebound name, and a Host that is none', async () => {
    const { server } = await served();
    const head = (host: string) => sendRaw(server.port, `GET /health HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    expect(await head('evil.example')).toStartWith('HTTP/1.1 403');
    for (const host of [
      'a b/c',
      '',
      '[::1',
      'a:99999',
      'localhost\r\nhost: localhost',
      'localhost, localhost',
    ]) {
      const answer = await head(host);
      expect(answer).toStartWith('HTTP/1.1 400');
      expect(answer).toMatch(/^content-type: application\/problem\+json/im);
      expect(answer).toMatch(/^x-content-type-options: nosniff/im);
      expect(answer).toMatch(/^x-request-id: /im);
    }
    expect(await sendRaw(server.port, 'GET /health HTTP/1.1\r\n\r\n')).toMatch(/^HTTP\/1\.1 4/);
  });

  test('refuses a body over the limit in the words of the API, with and without its length', async () => {
    const { server } = await served();
    const headers = { 'content-type': 'application/json' };
    const known = await fetch(`${server.url}/api/v1/execution/start`, {
      method: 'POST',
      headers,
      body: 'x'.repeat(300_000),
    });
    await problemOf(known, 413, 'body_too_large');
    const chunk = 'x'.repeat(0x8000);
    const head =
      'POST /api/v1/execution/start HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n';
    expect(await sendRaw(server.port, `${head}8000\r\n${chunk}\r\n8000\r\n${chunk}\r\n`)).toStartWith(
      'HTTP/1.1 413',
    );
  });

  test.each([
    ['stops', 'Content-Length: 100', '{"a"', ''],
    ['drips', 'Content-Length: 1000000', '{"a"', 'x'],
    ['drips in chunks', 'Transfer-Encoding: chunked', '4\r\n{"a"\r\n', '1\r\nx\r\n'],
  ])('answers 408 to a body that %s, and closes the connection', async (_how, header, start, drop) => {
    const limits = { ...LIMITS, bodyBytes: 2_000_000, bodyGraceMs: 50 };
    const { server, ports } = await served({ limits });
    const head = `POST /api/v1/execution/start HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${header}\r\n\r\n`;
    const answer = await untilClosed(server.port, head + start, drop);
    expect(answer).toStartWith('HTTP/1.1 408');
    expect(answer).toMatch(/^content-type: application\/problem\+json/im);
    expect(answer).toContain('"code":"request_timeout"');
    expect(ports.calls).toEqual([]);
  });

  // Bun checks every few seconds.
  test('closes connections that bring nothing, a head that drips, or a body that nobody reads', async () => {
    const { server } = await served({}, 100);
    const head = 'GET /health HTTP/1.1\r\nHost: localhost\r\nX: ';
    const body = 'POST /nope HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n';
    const [, , unread] = await Promise.all([
      untilClosed(server.port, '', ''),
      untilClosed(server.port, head, 'x'),
      untilClosed(server.port, body, 'x'),
    ]);
    expect(unread).toStartWith('HTTP/1.1 404');
    expect((await fetch(`${server.url}/health`)).status).toBe(200);
  });

  test('ends a wait whose client goes away', async () => {
    const { server, ports } = await served();
    const waiting = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<void>();
    ports.executions.status = (_caller, _id, { signal }) =>
      new Promise((_resolve, reject) => {
        signal!.addEventListener('abort', () => {
          ended.resolve();
          reject(signal!.reason);
        });
        waiting.resolve();
      });
    const client = new AbortController();
    const url = `${server.url}/api/v1/execution/status?execution_id=11111111-1111-1111-1111-111111111111&wait=60s`;
    const answer = fetch(url, { signal: client.signal }).catch((error: Error) => error.name);
    await waiting.promise;
    client.abort();
    await ended.promise;
    expect(await answer).toBe('AbortError');
  });

  test('lets requests end when it stops, then closes what is left', async () => {
    const { server, ports } = await served();
    const reached = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    ports.before = () => {
      reached.resolve();
      return release.promise;
    };
    const answer = fetch(`${server.url}/api/v1/templates`);
    await reached.promise;
    const stopped = server.stop(60_000);
    release.resolve();
    expect((await answer).status).toBe(200);
    await stopped;
    expect(await fetch(`${server.url}/health`).catch(() => 'refused')).toBe('refused');
  });

  test('does not wait for a request longer than its grace time', async () => {
    const { server, ports } = await served();
    const reached = Promise.withResolvers<void>();
    ports.before = () => {
      reached.resolve();
      return new Promise(() => {});
    };
    const answer = fetch(`${server.url}/api/v1/templates`).catch(() => 'cut');
    await reached.promise;
    await server.stop(1);
    expect(await answer).toBe('cut');
  });

  test('names the address that it cannot bind', async () => {
    const { server } = await served();
    const second = serve(createTestApp().app, { host: '127.0.0.1', port: server.port }, listen);
    await expect(second).rejects.toThrow(
      `Cannot serve on 127.0.0.1 port ${server.port}: another process uses it.`,
    );
  });
});
