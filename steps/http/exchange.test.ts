import { describe, expect, test } from 'bun:test';
import { execFile } from 'node:child_process';
import { getEventListeners, once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import https from 'node:https';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { httpCall as call } from '../../tests/support/http-call.ts';
import { echo, failureOf, httpPeer } from '../../tests/support/http-peer.ts';
import { StepFailure } from '../step-type.ts';

const json = (body: Buffer) => JSON.parse(body.toString());
const hasOpenssl = Bun.which('openssl') !== null;

async function temporaryFolder() {
  const path = await mkdtemp(join(tmpdir(), 'http-client-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

describe('bodies', () => {
  const sending = (body: Buffer | string, headers: Record<string, string> = {}) =>
    httpPeer((_request, response) => response.writeHead(200, headers).end(body));

  test.each([
    ['gzip', zlib.gzipSync('hello')],
    ['br', zlib.brotliCompressSync('hello')],
    ['deflate', zlib.deflateSync('hello')],
    ['deflate', zlib.deflateRawSync('hello')],
    ['identity', Buffer.from('hello')],
  ])('in %s are decoded', async (encoding, bytes) => {
    await using peer = await sending(bytes, { 'content-encoding': encoding });
    expect((await call(`${peer.origin}/`)).body.toString()).toBe('hello');
  });

  test.each([
    ['gzip', zlib.gzipSync(Buffer.alloc(20_000_000))],
    ['br', zlib.brotliCompressSync(Buffer.alloc(20_000_000))],
    ['deflate', zlib.deflateSync(Buffer.alloc(20_000_000))],
  ])('in %s that swell above the cap are refused', async (encoding, bytes) => {
    await using peer = await sending(bytes, { 'content-encoding': encoding });
    expect(bytes.length).toBeLessThan(1_000_000);
    expect(await failureOf(call(`${peer.origin}/`))).toMatchObject({
      code: 'http_response_too_large',
      retryable: false,
    });
  });

  test('of exactly the cap pass, and of one byte more do not', async () => {
    await using peer = await sending('x'.repeat(1_000));
    expect((await call(`${peer.origin}/`, {}, { maxResponseBytes: 1_000 })).body).toHaveLength(1_000);
    const failure = await failureOf(call(`${peer.origin}/`, {}, { maxResponseBytes: 999 }));
    expect(failure.code).toBe('http_response_too_large');
  });

  test('without an end are cut at the cap, and the peer sees the connection close', async () => {
    const closed = Promise.withResolvers<void>();
    await using peer = await httpPeer((_request, response) => {
      const pump = () => {
        while (!response.destroyed && response.write('x'.repeat(10_000)));
      };
      response.on('drain', pump).on('close', () => closed.resolve());
      pump();
    });
    expect((await failureOf(call(`${peer.origin}/`))).code).toBe('http_response_too_large');
    await closed.promise;
  });

  test('that are not what their encoding says fail, and may be tried again', async () => {
    await using peer = await sending('no gzip', { 'content-encoding': 'gzip' });
    expect(await failureOf(call(`${peer.origin}/`))).toMatchObject({
      code: 'http_invalid_response',
      retryable: true,
    });
  });

  test('that HEAD only announces are not waited for', async () => {
    await using peer = await sending('', { 'content-length': '5000000', 'content-encoding': 'gzip' });
    const reply = await call(`${peer.origin}/`, { method: 'HEAD' });
    expect(reply).toMatchObject({ status: 200, body: Buffer.alloc(0) });
  });

  test('of a request are sent with their length in bytes', async () => {
    await using peer = await httpPeer(echo);
    const got = json((await call(`${peer.origin}/`, { method: 'POST', body: 'é€' })).body);
    expect(got).toMatchObject({ body: 'é€', headers: { 'content-length': '5' } });
    expect(got.headers).not.toHaveProperty('transfer-encoding');
  });

  test('that a POST does not have are announced as empty', async () => {
    await using peer = await httpPeer(echo);
    expect(json((await call(`${peer.origin}/`, { method: 'POST' })).body).headers['content-length']).toBe(
      '0',
    );
  });
});

describe('the connection', () => {
  /** A peer that speaks bytes instead of HTTP. */
  async function rawPeer(answer: (socket: net.Socket) => void) {
    const server = net.createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => answer(socket));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    return { origin: `http://127.0.0.1:${port}`, [Symbol.dispose]: () => void server.close() };
  }

  test('that is refused is a network error and may be tried again', async () => {
    expect(await failureOf(call('http://127.0.0.1:1/path?secret=1'))).toMatchObject({
      code: 'http_network_error',
      retryable: true,
      details: { reason: 'ECONNREFUSED' },
      message: expect.not.stringContaining('secret'),
    });
  });

  test('to a name that does not exist is a network error', async () => {
    const resolve = () =>
      Promise.reject(Object.assign(new Error('getaddrinfo ENOTFOUND nope.test'), { code: 'ENOTFOUND' }));
    expect(await failureOf(call('http://nope.test/', {}, { resolve }))).toMatchObject({
      code: 'http_network_error',
      retryable: true,
      details: { reason: 'ENOTFOUND' },
    });
  });

  test.each([
    ['closes without an answer', ''],
    ['closes in the middle of the head', 'HTTP/1.1 200 OK\r\ncontent-le'],
    ['closes in the middle of the body', 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort'],
    ['closes in the middle of a chunk', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n64\r\nshort'],
    ['does not speak HTTP', 'SSH-2.0-OpenSSH_9.6\r\n\r\n'],
  ])('to a peer that %s is a network error and no shortened result', async (_name, answer) => {
    using peer = await rawPeer((socket) => socket.end(answer));
    expect(await failureOf(call(`${peer.origin}/`))).toMatchObject({
      code: 'http_network_error',
      retryable: true,
    });
  });

  test('is closed when the call is aborted before the answer, and the reason is passed on', async () => {
    const arrived = Promise.withResolvers<void>();
    const closed = Promise.withResolvers<void>();
    await using peer = await httpPeer((_request, response) => {
      response.on('close', () => closed.resolve());
      arrived.resolve();
    });
    const controller = new AbortController();
    const reason = new StepFailure('stopped', 'the execution was stopped');
    const failing = failureOf(call(`${peer.origin}/`, { signal: controller.signal }));
    await arrived.promise;
    controller.abort(reason);
    expect(await failing).toBe(reason as never);
    await closed.promise;
  });

  test('is closed when the call is aborted in the middle of the body', async () => {
    const started = Promise.withResolvers<void>();
    const closed = Promise.withResolvers<void>();
    await using peer = await httpPeer((_request, response) => {
      response.on('close', () => closed.resolve());
      response.write('first', () => started.resolve());
    });
    const controller = new AbortController();
    const reason = new StepFailure('stopped', 'the execution was stopped');
    const failing = failureOf(call(`${peer.origin}/`, { signal: controller.signal }));
    await started.promise;
    controller.abort(reason);
    expect(await failing).toBe(reason as never);
    await closed.promise;
  });

  test('leaves nothing behind on the signal of its caller', async () => {
    await using peer = await httpPeer(echo);
    const { signal } = new AbortController();
    await call(`${peer.origin}/`, { signal });
    await failureOf(call('http://10.0.0.1/', { signal }));
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  test('is not opened when the call is aborted already', async () => {
    await using peer = await httpPeer(echo);
    const reason = new StepFailure('stopped', 'the execution was stopped');
    expect(await failureOf(call(`${peer.origin}/`, { signal: AbortSignal.abort(reason) }))).toBe(
      reason as never,
    );
    expect(peer.requests).toHaveLength(0);
  });

  test.each([
    ['never answers', () => {}],
    [
      'never ends its body',
      (_request: unknown, response: { write(text: string): void }) => response.write('x'),
    ],
  ])('to a peer that %s ends in a timeout, and the peer sees it close', async (_name, listener) => {
    const closed = Promise.withResolvers<void>();
    await using peer = await httpPeer((request, response) => {
      response.on('close', () => closed.resolve());
      listener(request, response);
    });
    // On a busy machine the time may be over before the peer has heard of the request.
    for (let timeoutMs = 50; peer.requests.length === 0; timeoutMs *= 2) {
      const failure = await failureOf(call(`${peer.origin}/`, { timeoutMs }));
      expect(failure).toMatchObject({ code: 'timeout', retryable: true });
    }
    await closed.promise;
  });

  test('has one time limit over redirects and name resolution', async () => {
    await using peer = await httpPeer((request, response) => {
      if (request.url === '/') response.writeHead(302, { location: '/never-answers' }).end();
    });
    expect((await failureOf(call(`${peer.origin}/`, { timeoutMs: 50 }))).code).toBe('timeout');
    const resolve = () => new Promise<never>(() => {});
    expect((await failureOf(call('http://slow.test/', { timeoutMs: 20 }, { resolve }))).code).toBe('timeout');
  });

  test.if(hasOpenssl)(
    'over TLS goes to the pinned address and still asks for the name it was given',
    async () => {
      await using folder = await temporaryFolder();
      const [key, cert] = [join(folder.path, 'key.pem'), join(folder.path, 'cert.pem')];
      const subject = ['-subj', '/CN=stock.test', '-addext', 'subjectAltName=DNS:stock.test'];
      const form = [
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-days',
        '2',
      ];
      await promisify(execFile)('openssl', ['req', ...form, '-keyout', key, '-out', cert, ...subject]);
      const server = https.createServer(
        { key: await readFile(key), cert: await readFile(cert) },
        (_request, response) => response.end('hello'),
      );
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      // The trusted certificates are fixed when a process starts.
      const client = new URL('../../tests/support/call-pinned.ts', import.meta.url).pathname;
      const { port } = server.address() as AddressInfo;
      const ask = async (host: string, env: Record<string, string>) => {
        const options = { env: { ...process.env, ...env } };
        return (
          await promisify(execFile)(process.execPath, [client, `https://${host}:${port}/`], options)
        ).stdout.trim();
      };
      const trusted = { NODE_EXTRA_CA_CERTS: cert };
      try {
        expect(await ask('stock.test', trusted)).toBe('hello');
        expect(await ask('other.test', trusted)).toBe('http_network_error ERR_TLS_CERT_ALTNAME_INVALID');
        expect(await ask('stock.test', { NODE_EXTRA_CA_CERTS: '' })).toStartWith('http_network_error ');
      } finally {
        server.close();
      }
    },
  );

  test('is used once, so that no two calls share one', async () => {
    await using peer = await httpPeer((request, response) => response.end(String(request.socket.remotePort)));
    const ports = [await call(`${peer.origin}/`), await call(`${peer.origin}/`)].map(({ body }) =>
      body.toString(),
    );
    expect(new Set(ports).size).toBe(2);
  });
});
