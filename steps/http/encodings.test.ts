/** Codings, charsets and numbers of bodies, as a real peer sends and receives them. */
import { describe, expect, test } from 'bun:test';
import { buffer } from 'node:stream/consumers';
import zlib from 'node:zlib';
import { failureOf, httpPeer } from '../../tests/support/http-peer.ts';
import { stepContext } from '../../tests/support/step-context.ts';
import { createHttp } from '../http.ts';
import type { StepFailure } from '../step-type.ts';
import { parseAllowList } from './address.ts';
import { createHttpClient } from './client.ts';

const http = createHttp(
  createHttpClient({ allow: parseAllowList(['127.0.0.1']), maxResponseBytes: 1_000_000, timeoutMs: 20_000 }),
);
type Params = Parameters<typeof http.run>[0]['params'];
type Headers = Record<string, string | string[]>;
interface Answer {
  status?: number;
  headers?: Headers;
  body: string | Buffer;
}

/** The step's output for an answer. */
async function receive({ status = 200, headers = {}, body }: Answer, params: Partial<Params> = {}) {
  await using peer = await httpPeer((_request, response) => response.writeHead(status, headers).end(body));
  const run = http.run(stepContext({ params: { url: `${peer.origin}/path`, ...params } }));
  return (await run) as { status: number; body: unknown; encoding?: string };
}

/** The request that arrives at the peer. */
async function send(params: Partial<Params>): Promise<{ type: string | undefined; bytes: Buffer }> {
  const arrived = Promise.withResolvers<{ type: string | undefined; bytes: Buffer }>();
  await using peer = await httpPeer(async (request, response) => {
    arrived.resolve({ type: request.headers['content-type'], bytes: await buffer(request) });
    response.end();
  });
  await http.run(stepContext({ params: { url: peer.origin, method: 'POST', ...params } }));
  return await arrived.promise;
}

const failure = async (promise: Promise<unknown>) => (await failureOf(promise)) as unknown as StepFailure;

describe('a body that cannot be had hides no status:', () => {
  const broken: [string, Answer][] = [
    ['an unknown coding', { headers: { 'content-encoding': 'exi' }, body: Buffer.from([0xff, 0xfe, 0xfd]) }],
    ['broken gzip', { headers: { 'content-encoding': 'gzip' }, body: 'no gzip' }],
    [
      'half a gzip',
      { headers: { 'content-encoding': 'gzip' }, body: zlib.gzipSync('x'.repeat(99)).subarray(0, 20) },
    ],
    ['a bomb', { headers: { 'content-encoding': 'gzip' }, body: zlib.gzipSync(Buffer.alloc(2_000_000)) }],
    ['too many bytes', { body: Buffer.alloc(1_000_001) }],
    ['a length over the limit', { headers: { 'content-length': '1000001' }, body: Buffer.alloc(1_000_001) }],
  ];
  const statuses: [number, boolean][] = [
    [500, true],
    [503, true],
    [429, true],
    [404, false],
    [422, false],
  ];
  const table = broken.flatMap(([name, answer]) =>
    statuses.map(([status, retryable]) => [name, status, retryable, answer] as const),
  );

  test.each(table)('%s with %i; retryable: %p', async (_name, status, retryable, answer) => {
    expect(await failure(receive({ ...answer, status }))).toMatchObject({
      code: 'http_status',
      retryable,
      details: { status, body: null, body_error: expect.stringContaining('the response ') },
    });
  });

  test.each(broken)('%s with a status that expect names fails by the body', async (_name, answer) => {
    const { code } = await failure(receive({ ...answer, status: 404 }, { expect: 404 }));
    expect(['http_invalid_response', 'http_response_too_large']).toContain(code);
  });

  test('Retry-After is heard all the same', async () => {
    const headers = { 'content-encoding': 'gzip', 'retry-after': '7' };
    expect(await failure(receive({ status: 503, headers, body: 'no gzip' }))).toMatchObject({
      retryAfterMs: 7_000,
    });
  });

  test('a connection that breaks in the middle of the body', async () => {
    await using peer = await httpPeer((_request, response) => {
      response.writeHead(404, { 'content-length': '100' });
      response.write('short', () => response.destroy());
    });
    const run = http.run(stepContext({ params: { url: peer.origin } })) as Promise<unknown>;
    expect(await failure(run)).toMatchObject({
      code: 'http_status',
      retryable: false,
      details: { status: 404 },
    });
  });

  test('a body that never ends', async () => {
    await using peer = await httpPeer((_request, response) => {
      response.writeHead(404, { 'content-length': '100' });
      response.write('short');
    });
    const run = (timeout: number) =>
      failure(http.run(stepContext({ params: { url: peer.origin, timeout } })) as Promise<unknown>);
    // On a busy machine the time may be over before the head is here.
    let found = await run(50);
    for (let timeout = 100; found.code === 'timeout' && timeout < 20_000; timeout *= 2)
      found = await run(timeout);
    expect(found).toMatchObject({ code: 'http_status', retryable: false, details: { status: 404 } });
  });
});

describe('content codings', () => {
  const text = '{"a":1}';
  const gzip = zlib.gzipSync(text);

  test.each<[string, string | Buffer]>([
    ['gzip', gzip],
    ['GZip', gzip],
    ['x-gzip', gzip],
    ['deflate', zlib.deflateSync(text)],
    ['deflate', zlib.deflateRawSync(text)],
    ['br', zlib.brotliCompressSync(text)],
    ['zstd', zlib.zstdCompressSync(text)],
    ['gzip, gzip', zlib.gzipSync(gzip)],
    ['gzip,br', zlib.brotliCompressSync(gzip)],
    ['br, identity , gzip', zlib.gzipSync(zlib.brotliCompressSync(text))],
    ['identity, gzip', gzip],
    ['gzip, identity', gzip],
    ['aws-chunked', text],
    ['aws-chunked,gzip', gzip],
    ['utf-8', text],
    ['UTF8', text],
    ['iso-8859-1', text],
    ['identity', text],
    ['none', text],
    ['binary', text],
    ['', text],
    [',', text],
    ['something-of-its-own', text],
    ['something-of-its-own, gzip', gzip],
  ])('%s is understood', async (coding, body) => {
    const headers = { 'content-type': 'application/json', 'content-encoding': coding };
    expect((await receive({ headers, body })).body).toEqual({ a: 1 });
  });

  test('in several headers are one list', async () => {
    const headers = { 'content-type': 'application/json', 'content-encoding': ['br', 'gzip'] };
    const body = zlib.gzipSync(zlib.brotliCompressSync(text));
    expect((await receive({ headers, body })).body).toEqual({ a: 1 });
  });

  test('that change no byte leave binary bodies as they are', async () => {
    const body = Buffer.from([0xff, 0x00, 0x80]);
    const headers = { 'content-type': 'image/png', 'content-encoding': 'aws-chunked' };
    expect(await receive({ headers, body })).toMatchObject({
      body: body.toString('base64'),
      encoding: 'base64',
    });
  });

  test.each<[string, boolean, Buffer]>([
    ['compress', false, Buffer.from([0x1f, 0x9d, 0x90])],
    ['compress, gzip', false, zlib.gzipSync(Buffer.from([0x1f, 0x9d, 0x90]))],
    ['gzip', true, Buffer.from('no gzip')],
    ['gzip, gzip', true, gzip],
    ['gzip, gzip, gzip, gzip, gzip, gzip', false, gzip],
  ])('%s that cannot be undone fails; retryable: %p', async (coding, retryable, body) => {
    const answer = { headers: { 'content-encoding': coding }, body };
    expect(await failure(receive(answer))).toMatchObject({ code: 'http_invalid_response', retryable });
  });

  test('one inside the other do not swell above the cap', async () => {
    const inner = zlib.gzipSync(Buffer.alloc(50_000_000));
    const answer = { headers: { 'content-encoding': 'gzip, gzip' }, body: zlib.gzipSync(inner) };
    expect(await failure(receive(answer))).toMatchObject({ code: 'http_response_too_large' });
  });
});

describe('a JSON body is read in its charset', () => {
  const utf16be = (text: string) => Buffer.from(text, 'utf16le').swap16();

  test.each<[string, Buffer]>([
    ['application/json', Buffer.from('{"a":"é€"}')],
    ['application/json', Buffer.from('\uFEFF{"a":"é€"}')],
    ['application/json; charset=utf-8', Buffer.from('{"a":"é€"}')],
    [
      'application/json; charset=ISO-8859-15',
      Buffer.from([...Buffer.from('{"a":"'), 0xe9, 0xa4, ...Buffer.from('"}')]),
    ],
    [
      'application/json; charset="windows-1252"',
      Buffer.from([...Buffer.from('{"a":"'), 0xe9, 0x80, ...Buffer.from('"}')]),
    ],
    ['application/hal+json;v=1;charset=utf-16le', Buffer.from('{"a":"é€"}', 'utf16le')],
    ['application/json; charset=utf-16be', utf16be('{"a":"é€"}')],
    ['application/json; charset=utf-16', Buffer.from('\uFEFF{"a":"é€"}', 'utf16le')],
    ['application/json; charset=utf-16', utf16be('\uFEFF{"a":"é€"}')],
    ['application/json', Buffer.from('\uFEFF{"a":"é€"}', 'utf16le')],
    ['application/json', utf16be('\uFEFF{"a":"é€"}')],
    ['application/json; charset=klingon', Buffer.from('{"a":"é€"}')],
  ])('%s', async (type, body) => {
    expect((await receive({ headers: { 'content-type': type }, body })).body).toEqual({ a: 'é€' });
  });
});

describe('a request is sent in the charset it names', () => {
  const type = 'text/plain';

  test.each<[string, string, string | Buffer]>([
    [type, 'é€', 'é€'],
    [`${type}; charset=utf-8`, 'é€', 'é€'],
    [`${type}; charset="UTF8"`, 'é€', 'é€'],
    [`${type}; charset=iso-8859-1`, 'é\u0085', Buffer.from([0xe9, 0x85])],
    [`${type}; charset=us-ascii`, 'plain', 'plain'],
    [`${type};charset=ISO-8859-15`, 'é€', Buffer.from([0xe9, 0xa4])],
    [`${type}; charset=windows-1252`, 'é€', Buffer.from([0xe9, 0x80])],
    [`${type}; charset=koi8-r`, 'да', Buffer.from([0xc4, 0xc1])],
    [`${type}; charset=utf-16le`, 'é€', Buffer.from('é€', 'utf16le')],
    [`${type}; charset=utf-16be`, 'é€', Buffer.from('é€', 'utf16le').swap16()],
    [`${type}; charset=utf-16`, 'é€', Buffer.from('\uFEFFé€', 'utf16le')],
    [`${type}; charset=shift_jis`, 'plain', 'plain'],
    [`${type}; charset=utf-16`, '💥', Buffer.from('\uFEFF💥', 'utf16le')],
  ])('%s: %p', async (contentType, body, bytes) => {
    const sent = await send({ body, headers: { 'Content-Type': contentType } });
    expect(sent.type).toBe(contentType);
    expect(sent.bytes.toString('hex')).toBe(Buffer.from(bytes as string).toString('hex'));
  });

  test.each([
    ['text/plain; charset=us-ascii', 'é', 'does not have every character'],
    ['text/plain; charset=iso-8859-1', '€', 'does not have every character'],
    ['text/plain; charset=windows-1252', '日', 'does not have every character'],
    ['text/plain; charset=shift_jis', '日', 'does not have every character'],
    ['text/plain; charset=klingon', 'plain', 'is not known'],
    ['application/x-www-form-urlencoded; charset=iso-8859-1', { a: 'é' }, 'a form is sent in UTF-8'],
  ])('%s: %p is refused', async (contentType, body, message) => {
    await using peer = await httpPeer((_request, response) => response.end());
    const params = { url: peer.origin, method: 'POST', headers: { 'content-type': contentType }, body };
    const found = await failure(http.run(stepContext({ params })) as Promise<unknown>);
    expect(found).toMatchObject({ code: 'http_invalid_request', retryable: false });
    expect(found.message).toContain(message);
    expect(peer.requests).toHaveLength(0);
  });

  test.each(['utf-8', 'iso-8859-1', 'us-ascii', 'utf-16', 'shift_jis'])(
    'JSON in %s means the same',
    async (charset) => {
      const headers = { 'content-type': `application/json; charset=${charset}` };
      const { bytes } = await send({ body: { é: ['€', '💥', 1] }, headers });
      const text = new TextDecoder(charset as 'utf-8').decode(bytes);
      expect(JSON.parse(text)).toEqual({ é: ['€', '💥', 1] });
    },
  );

  test.each(['utf-8', 'iso-8859-1'])('a form of ASCII goes in %s', async (charset) => {
    const headers = { 'content-type': `application/x-www-form-urlencoded; charset=${charset}` };
    expect((await send({ body: { a: 'x&y' }, headers })).bytes.toString()).toBe('a=x%26y');
  });
});

describe('numbers of an answer that are not exact', () => {
  const headers = { 'content-type': 'application/json' };
  const body = '{"id":9007199254740993,"list":[1.10,9007199254740992,-12345678901234567890,1e400]}';

  test('fail the step, with the place of the first', async () => {
    const found = await failure(receive({ headers, body }));
    expect(found).toMatchObject({ code: 'number_not_exact', retryable: false, details: { pointer: '/id' } });
    expect(found.message).toContain('9007199254740993 at /id');
    expect(found.message).toContain('bigNumbers: text');
  });

  test('become text with bigNumbers: text', async () => {
    expect((await receive({ headers, body }, { bigNumbers: 'text' })).body).toEqual({
      id: '9007199254740993',
      list: [1.1, 9007199254740992, '-12345678901234567890', '1e400'],
    });
  });

  test('are text in the details of a status that fails the step', async () => {
    expect(await failure(receive({ status: 500, headers, body }))).toMatchObject({
      code: 'http_status',
      details: { body: { id: '9007199254740993' } },
    });
  });

  test('do not matter in what is no JSON', async () => {
    expect((await receive({ headers, body: `${body}}` })).body).toBe(`${body}}`);
    expect((await receive({ headers: { 'content-type': 'text/plain' }, body })).body).toBe(body);
    expect((await receive({ headers, body: '1e400e5' }, { bigNumbers: 'text' })).body).toBe('1e400e5');
  });
});
