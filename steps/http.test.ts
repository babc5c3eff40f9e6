import { describe, expect, test } from 'bun:test';
import type { RequestListener } from 'node:http';
import { echo, failureOf, type HttpPeer, httpPeer } from '../tests/support/http-peer.ts';
import { stepContext } from '../tests/support/step-context.ts';
import { parseAllowList } from './http/address.ts';
import { createHttpClient } from './http/client.ts';
import { createHttp } from './http.ts';
import { StepFailure } from './step-type.ts';

const client = createHttpClient({
  allow: parseAllowList(['127.0.0.1']),
  maxResponseBytes: 1_000_000,
  timeoutMs: 20_000,
});
const http = createHttp(client);

type Params = Parameters<typeof http.run>[0]['params'];
type Output = {
  status: number;
  headers: Record<string, unknown>;
  body: Record<string, unknown>;
  encoding?: string;
};

async function run(params: Params, signal = new AbortController().signal): Promise<Output> {
  return (await http.run(stepContext({ params, signal }))) as Output;
}

const call = (peer: HttpPeer, params: Partial<Params> = {}) => run({ url: `${peer.origin}/path`, ...params });

const answering =
  (status: number, headers: Record<string, string | string[]>, body: string | Buffer): RequestListener =>
  (_request, response) =>
    response.writeHead(status, headers).end(body);

describe('a request', () => {
  test('is a GET without a body unless it is told otherwise', async () => {
    await using peer = await httpPeer(echo);
    const { status, body } = await call(peer);
    expect(status).toBe(200);
    expect(body).toMatchObject({ method: 'GET', url: '/path', body: '' });
    expect(body.headers).toMatchObject({
      'user-agent': 'execution-engine',
      'accept-encoding': 'gzip, deflate, br',
    });
  });

  test.each(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])('can be a %s', async (method) => {
    await using peer = await httpPeer(echo);
    await call(peer, { method });
    expect(peer.requests[0]!.method).toBe(method);
  });

  test.each([
    ['an object', { a: 1, b: [null] }, '{"a":1,"b":[null]}', 'application/json'],
    ['a list', [1, 2], '[1,2]', 'application/json'],
    ['a number', 0, '0', 'application/json'],
    ['false', false, 'false', 'application/json'],
    ['text', 'plain é', 'plain é', 'text/plain; charset=utf-8'],
    ['null', null, '', undefined],
  ])('sends %s', async (_name, body, sent, type) => {
    await using peer = await httpPeer(echo);
    const got = (await call(peer, { method: 'POST', body })).body as {
      body: string;
      headers: Record<string, string>;
    };
    expect(got.body).toBe(sent);
    expect(got.headers['content-type']).toBe(type as string);
  });

  test('keeps the content type it was given', async () => {
    await using peer = await httpPeer(echo);
    const headers = { 'Content-Type': 'application/vnd.api+json' };
    const got = await call(peer, { method: 'POST', body: { a: 1 }, headers });
    expect(got.body).toMatchObject({
      body: '{"a":1}',
      headers: { 'content-type': 'application/vnd.api+json' },
    });
  });

  test('sends an object as a form when its content type says so', async () => {
    await using peer = await httpPeer(echo);
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const got = await call(peer, { method: 'POST', body: { a: 'x & y', b: [1, 2], c: null }, headers });
    expect(got.body.body).toBe('a=x+%26+y&b=1&b=2');
  });

  test('appends its query without touching the one of the URL', async () => {
    await using peer = await httpPeer(echo);
    const query = { q: 'a b&c=d', n: 1, yes: true, none: null, list: ['x', 2] };
    const got = await run({ url: `${peer.origin}/path?sig=a%20b%2F#part`, query });
    expect(got.body.url).toBe('/path?sig=a%20b%2F&q=a+b%26c%3Dd&n=1&yes=true&list=x&list=2');
  });

  test('sends the idempotency key of the step, unless the author sets the header', async () => {
    await using peer = await httpPeer(echo);
    expect((await call(peer)).body.headers).toMatchObject({ 'idempotency-key': 'key-of-this-step' });
    const own = await call(peer, { headers: { 'IDEMPOTENCY-KEY': 'mine' } });
    expect(own.body.headers).toMatchObject({ 'idempotency-key': 'mine' });
  });

  test('sends numbers, booleans and lists as headers', async () => {
    await using peer = await httpPeer(echo);
    const got = await call(peer, { headers: { 'X-N': 1, 'X-B': true, 'X-L': ['a', 'b'] } });
    expect(got.body.headers).toMatchObject({ 'x-n': '1', 'x-b': 'true', 'x-l': 'a, b' });
  });

  test('with a value that carries a line break into a header is refused', async () => {
    await using peer = await httpPeer(echo);
    const failure = await failureOf(call(peer, { headers: { 'x-name': 'a\r\nset-cookie: b' } }));
    expect(failure).toMatchObject({ code: 'http_invalid_request', retryable: false });
    expect(peer.requests).toHaveLength(0);
  });

  test.each([
    ['a name in two spellings', { X: 'a', x: 'b' }],
    ['the name __proto__', JSON.parse('{"__proto__":"a"}')],
  ])('with %s among its headers is refused', async (_name, headers) => {
    await using peer = await httpPeer(echo);
    const failure = await failureOf(call(peer, { headers }));
    expect(failure).toMatchObject({ code: 'http_invalid_request', retryable: false });
    expect(peer.requests).toHaveLength(0);
  });

  test('keeps the spelling of its URL beside a query, and may have a fragment', async () => {
    await using peer = await httpPeer((_request, response) => response.writeHead(500).end());
    const url = `HTTP://127.0.0.1:${peer.port}/Path/%7e?own=%7E#part`;
    const failure = await failureOf(run({ url, query: { n: 1 } }));
    expect(failure.message).toBe(`GET HTTP://127.0.0.1:${peer.port}/Path/%7e answered 500`);
    expect(peer.requests.map((request) => request.url)).toEqual(['/Path/%7e?own=%7E&n=1']);
  });

  test('that is aborted rejects with the reason of the signal', async () => {
    await using peer = await httpPeer(echo);
    const reason = new StepFailure('stopped', 'stopped');
    expect(await failureOf(run({ url: peer.origin }, AbortSignal.abort(reason)))).toBe(reason as never);
  });

  test('honours its own timeout', async () => {
    await using peer = await httpPeer(() => {});
    expect(await failureOf(call(peer, { timeout: '40ms' }))).toMatchObject({
      code: 'timeout',
      retryable: true,
    });
  });

  test('with a timeout that an expression made no duration is refused', async () => {
    expect(await failureOf(run({ url: 'http://127.0.0.1/', timeout: 'soon' }))).toMatchObject({
      code: 'invalid_params',
      retryable: false,
      message: expect.stringContaining('timeout is "soon"'),
    });
  });

  test.each([
    [true, 200],
    [false, 302],
    [0, 302],
    [1, 200],
  ])('with followRedirects %p ends at status %i', async (followRedirects, status) => {
    await using peer = await httpPeer((request, response) => {
      if (request.url === '/path') response.writeHead(302, { location: '/end' }).end();
      else response.end();
    });
    expect((await call(peer, { followRedirects, expect: ['200-299', 302] })).status).toBe(status);
  });
});

describe('a response', () => {
  test.each([
    ['JSON', 'application/json; charset=utf-8', '{"a":[1]}', { a: [1] }],
    ['JSON of a vendor', 'application/problem+json', 'null', null],
    ['JSON behind a byte order mark', 'application/json', '\uFEFF1', 1],
    ['invalid JSON as text', 'application/json', '{"a":', '{"a":'],
    ['empty JSON as empty text', 'application/json', '', ''],
    ['text', 'text/plain', '{"a":1}', '{"a":1}'],
    ['XML', 'application/xml', '<a/>', '<a/>'],
    ['text in its charset', 'text/plain; charset=iso-8859-1', Buffer.from([0xe9]), 'é'],
    ['text in an unknown charset as UTF-8', 'text/plain; charset="klingon"', 'é', 'é'],
    ['an unknown type that is UTF-8', 'x/y', 'é', 'é'],
  ])('body that is %s', async (_name, type, bytes, expected) => {
    await using peer = await httpPeer(answering(200, { 'content-type': type }, bytes));
    const { body, encoding } = await call(peer);
    expect(body as unknown).toEqual(expected);
    expect(encoding).toBeUndefined();
  });

  test.each([
    ['image/png', Buffer.from([0x89, 0x50, 0x4e, 0x47])],
    ['application/octet-stream', Buffer.from('text by chance')],
    ['', Buffer.from([0xff, 0x00])],
  ])('body of type %p that is binary is base64, and says so', async (type, bytes) => {
    await using peer = await httpPeer(answering(200, type === '' ? {} : { 'content-type': type }, bytes));
    expect(await call(peer)).toMatchObject({ body: bytes.toString('base64'), encoding: 'base64' } as never);
  });

  test('has its header names in lower case, several values joined and cookies as a list', async () => {
    const headers = { 'X-Two': ['a', 'b'], 'Set-Cookie': ['a=1', 'b=2'], 'X-One': '1' };
    await using peer = await httpPeer(answering(200, headers, ''));
    expect((await call(peer)).headers).toMatchObject({
      'x-two': 'a, b',
      'set-cookie': ['a=1', 'b=2'],
      'x-one': '1',
    });
  });

  test('without a body has an empty text', async () => {
    await using peer = await httpPeer((_request, response) => response.writeHead(204).end());
    expect(await call(peer)).toMatchObject({ status: 204, body: '' } as never);
  });

  test('above the cap is refused', async () => {
    await using peer = await httpPeer(answering(200, {}, 'x'.repeat(1_000_001)));
    expect(await failureOf(call(peer))).toMatchObject({ code: 'http_response_too_large', retryable: false });
  });
});

describe('the status', () => {
  test.each([
    [408, true],
    [425, true],
    [429, true],
    [500, true],
    [503, true],
    [599, true],
    [400, false],
    [401, false],
    [404, false],
    [409, false],
    [304, false],
  ])('%i is a failure; retryable: %p', async (status, retryable) => {
    await using peer = await httpPeer((_request, response) => response.writeHead(status).end());
    expect(await failureOf(call(peer))).toMatchObject({
      code: 'http_status',
      retryable,
      details: { status },
    });
  });

  test.each([
    [404, 404, true],
    [200, 404, false],
    [404, '404', true],
    [204, '200-204', true],
    [205, '200-204', false],
    [404, [200, 404], true],
    [404, ['200-299', '404-404'], true],
    [500, ['200-299', 404], false],
  ])('%i against expect %p: %p', async (status, expected, fine) => {
    await using peer = await httpPeer((_request, response) => response.writeHead(status).end());
    const outcome = await call(peer, { expect: expected }).then(
      () => true,
      () => false,
    );
    expect(outcome).toBe(fine);
  });

  test('failure tells method and place but not the query, and carries the answer', async () => {
    const headers = { 'content-type': 'application/json', 'x-request-id': '7' };
    await using peer = await httpPeer(answering(422, headers, '{"error":"no stock"}'));
    const failure = await failureOf(run({ url: `${peer.origin}/path?token=secret`, method: 'POST' }));
    expect(failure.message).toBe(`POST ${peer.origin}/path answered 422`);
    expect(failure.details).toMatchObject({
      status: 422,
      headers: { 'x-request-id': '7' },
      body: { error: 'no stock' },
    });
  });

  test('failure carries only the start of a long body', async () => {
    await using peer = await httpPeer(answering(500, {}, `${'x'.repeat(4_095)}é${'y'.repeat(10_000)}`));
    const { details } = await failureOf(call(peer));
    expect(details).toMatchObject({ body: `${'x'.repeat(4_095)}… [cut]`, truncated: true });
  });
});

describe('Retry-After', () => {
  const NOW = 'Mon, 23 Nov 2026 12:00:00 GMT';

  test.each([
    ['seconds', { 'retry-after': '120' }, 120_000],
    ['zero', { 'retry-after': '0' }, 0],
    ['many seconds', { 'retry-after': '99999999999' }, 99_999_999_999_000],
    ['more than anybody waits', { 'retry-after': '9'.repeat(400) }, Number.MAX_SAFE_INTEGER],
    [
      "a date, by the peer's own clock",
      { 'retry-after': 'Mon, 23 Nov 2026 12:00:30 GMT', date: NOW },
      30_000,
    ],
    ['a date that is past', { 'retry-after': 'Mon, 23 Nov 2026 11:00:00 GMT', date: NOW }, 0],
    ['nonsense', { 'retry-after': 'soon' }, null],
    ['a negative number', { 'retry-after': '-1' }, null],
    ['a fraction', { 'retry-after': '1.5' }, null],
    ['nothing', {}, null],
  ])('as %s', async (_name, headers, retryAfterMs) => {
    await using peer = await httpPeer(answering(503, headers as Record<string, string>, ''));
    expect((await failureOf(call(peer))).retryAfterMs).toBe(retryAfterMs as never);
  });
});
