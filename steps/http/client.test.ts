import { describe, expect, test } from 'bun:test';
import { networkInterfaces } from 'node:os';
import { httpCall as call } from '../../tests/support/http-call.ts';
import { echo, failureOf, httpPeer } from '../../tests/support/http-peer.ts';
import { parseAllowList } from './address.ts';

const hasIpv6 = Object.values(networkInterfaces()).some((of) => of?.some(({ address }) => address === '::1'));
const json = (body: Buffer) => JSON.parse(body.toString());

describe('addresses', () => {
  test('localhost is blocked by default and no connection is made', async () => {
    await using peer = await httpPeer(echo);
    const failure = await failureOf(call(`http://localhost:${peer.port}/`, {}, { allow: [] }));
    expect(failure.code).toBe('http_blocked_address');
    expect(peer.requests).toHaveLength(0);
  });

  test('localhost is reached once the operator allows it', async () => {
    await using peer = await httpPeer(echo);
    const reply = await call(`http://localhost:${peer.port}/`, {}, { allow: parseAllowList(['localhost']) });
    expect(reply.status).toBe(200);
  });

  test.if(hasIpv6)('IPv6 loopback is blocked, and reached once it is allowed', async () => {
    await using peer = await httpPeer(echo, '::1');
    expect((await failureOf(call(`${peer.origin}/`))).code).toBe('http_blocked_address');
    expect((await call(`${peer.origin}/`, {}, { allow: parseAllowList(['::1']) })).status).toBe(200);
    expect(peer.requests).toHaveLength(1);
  });

  test('a decimal address is blocked like its dotted form', async () => {
    await using peer = await httpPeer(echo);
    const failure = await failureOf(call(`http://2130706433:${peer.port}/`, {}, { allow: [] }));
    expect(failure).toMatchObject({ code: 'http_blocked_address', details: { address: '127.0.0.1' } });
    expect(peer.requests).toHaveLength(0);
  });

  test('the name is resolved once per hop, so a second answer of the name server is never used', async () => {
    await using peer = await httpPeer(echo);
    const answers = ['127.0.0.1', '10.255.255.1'];
    const resolve = async () => [{ address: answers.shift()!, family: 4 }];
    const reply = await call(`http://rebind.test:${peer.port}/`, {}, { resolve });
    expect(json(reply.body).headers.host).toBe(`rebind.test:${peer.port}`);
    expect(answers).toHaveLength(1);
  });

  test('the next address is tried when the first does not answer', async () => {
    await using peer = await httpPeer(echo);
    const resolve = async () => ['127.0.0.9', '127.0.0.1'].map((address) => ({ address, family: 4 }));
    const allow = parseAllowList(['127.0.0.0/8']);
    expect((await call(`http://two.test:${peer.port}/`, {}, { resolve, allow })).status).toBe(200);
  });

  test('a proxy named in the environment is not used', async () => {
    await using proxy = await httpPeer((_request, response) => response.end('proxy'));
    await using peer = await httpPeer((_request, response) => response.end('peer'));
    const before = process.env.http_proxy;
    process.env.http_proxy = proxy.origin;
    try {
      expect((await call(`${peer.origin}/`)).body.toString()).toBe('peer');
    } finally {
      if (before === undefined) delete process.env.http_proxy;
      else process.env.http_proxy = before;
    }
    expect(proxy.requests).toHaveLength(0);
  });
});

describe('what is refused before anything is sent', () => {
  test.each([
    ['file:///etc/hostname', 'another scheme than http: or https:'],
    ['ftp://example.com/', 'another scheme than http: or https:'],
    ['data:text/plain,hi', 'another scheme than http: or https:'],
    ['/relative', 'not a valid absolute URL'],
    ['http://', 'not a valid absolute URL'],
    ['http://user:secret@example.com/', 'Authorization header'],
    ['http://user@example.com/', 'Authorization header'],
    ['http://127.0.0.1:0/', 'port 0'],
  ])('the URL %s', async (url, reason) => {
    const failure = await failureOf(call(url));
    expect(failure).toMatchObject({ code: 'http_invalid_request', retryable: false });
    expect(failure.message).toContain(reason);
    expect(failure.message).not.toContain('secret');
  });

  test.each([
    ['a line break in a value', { 'x-a': 'one\r\nx-injected: two' }],
    ['a bare line feed', { 'x-a': 'one\ntwo' }],
    ['a NUL', { 'x-a': 'one\0two' }],
    ['a line break in one value of a list', { 'x-a': ['fine', 'a\r\nb: c'] }],
    ['a line break in a name', { 'x-a\r\nx-b': 'one' }],
    ['a space in a name', { 'x a': 'one' }],
    ['an empty name', { '': 'one' }],
    ['a character outside Latin-1', { 'x-a': '€' }],
    ['a host of its own', { Host: 'elsewhere.test' }],
    ['a length of its own', { 'Content-Length': '5' }],
    ['a transfer coding of its own', { 'transfer-encoding': 'chunked' }],
    ['an upgrade', { Connection: 'upgrade' }],
    ['one name in two spellings', { 'X-A': 'one', 'x-a': 'two' }],
    ['a name that no object can hold', JSON.parse('{"__proto__":"one"}')],
  ])('headers with %s', async (_name, headers) => {
    await using peer = await httpPeer(echo);
    const failure = await failureOf(call(`${peer.origin}/`, { headers }));
    expect(failure).toMatchObject({ code: 'http_invalid_request', retryable: false });
    expect(peer.requests).toHaveLength(0);
  });

  test('line breaks in a URL never reach the request line', async () => {
    await using peer = await httpPeer(echo);
    const reply = await call(`${peer.origin}/a\r\nx-injected: b?c=\r\nd e`);
    const got = json(reply.body);
    expect(got.url).toBe('/ax-injected:%20b?c=d%20e');
    expect(got.headers).not.toHaveProperty('x-injected');
  });
});

describe('redirects', () => {
  const redirecting = (to: (url: string) => string | undefined, status = 302) =>
    httpPeer((request, response) => {
      const location = to(request.url!);
      if (location === undefined) return void echo(request, response);
      response.writeHead(status, { location }).end('moved');
    });

  test('are followed, relative ones too', async () => {
    await using peer = await redirecting((url) => ({ '/': 'a/b', '/a/b': '/c' })[url]);
    const reply = await call(`${peer.origin}/`);
    expect(json(reply.body).url).toBe('/c');
  });

  test('to a blocked host end the call', async () => {
    await using peer = await redirecting(() => 'http://169.254.169.254/latest/meta-data/');
    const failure = await failureOf(call(`${peer.origin}/`));
    expect(failure).toMatchObject({ code: 'http_blocked_address', details: { address: '169.254.169.254' } });
  });

  test('to another port of an allowed host end the call when only one port is allowed', async () => {
    await using hidden = await httpPeer(echo);
    await using peer = await redirecting(() => `${hidden.origin}/`);
    const allow = parseAllowList([`127.0.0.1:${peer.port}`]);
    expect((await failureOf(call(`${peer.origin}/`, {}, { allow }))).code).toBe('http_blocked_address');
    expect(hidden.requests).toHaveLength(0);
  });

  test.each(['file:///etc/passwd', 'gopher://127.0.0.1/', 'http://a:b@127.0.0.1/', 'http://[bad/'])(
    'to %s end the call',
    async (location) => {
      await using peer = await redirecting(() => location);
      expect((await failureOf(call(`${peer.origin}/`))).code).toBe('http_invalid_request');
    },
  );

  test('in a circle end after the fifth', async () => {
    await using peer = await redirecting(() => '/again');
    expect(await failureOf(call(`${peer.origin}/`))).toMatchObject({
      code: 'http_too_many_redirects',
      retryable: false,
    });
    expect(peer.requests).toHaveLength(6);
  });

  test('are an answer like any other when none may be followed', async () => {
    await using peer = await redirecting(() => '/next');
    const reply = await call(`${peer.origin}/`, { maxRedirects: 0 });
    expect(reply).toMatchObject({ status: 302, headers: { location: '/next' } });
    expect(reply.body.toString()).toBe('moved');
  });

  test('are left at their head: a body without an end is not read', async () => {
    const closed = Promise.withResolvers<void>();
    await using peer = await httpPeer((request, response) => {
      if (request.url !== '/') return void response.end('there');
      response.on('close', () => closed.resolve());
      response.writeHead(302, { location: '/next' }).write('an endless body');
    });
    expect((await call(`${peer.origin}/`)).body.toString()).toBe('there');
    await closed.promise;
  });

  test('without a location are an answer like any other', async () => {
    await using peer = await httpPeer((_request, response) => response.writeHead(302).end('nowhere'));
    expect((await call(`${peer.origin}/`)).status).toBe(302);
  });

  test.each([
    [301, 'POST', 'GET', ''],
    [302, 'POST', 'GET', ''],
    [303, 'PUT', 'GET', ''],
    [302, 'PUT', 'PUT', 'data'],
    [307, 'POST', 'POST', 'data'],
    [308, 'POST', 'POST', 'data'],
  ])('with status %i turn %s into %s', async (status, method, expected, body) => {
    await using peer = await redirecting((url) => (url === '/' ? '/next' : undefined), status);
    const headers = { 'content-type': 'text/plain' };
    const got = json((await call(`${peer.origin}/`, { method, body: 'data', headers })).body);
    expect(got).toMatchObject({ method: expected, body });
    expect(got.headers['content-type']).toBe(body === '' ? undefined : 'text/plain');
  });

  test('to another origin lose every header that may hold a credential', async () => {
    await using target = await httpPeer(echo);
    await using peer = await redirecting((url) => (url === '/' ? '/same' : `${target.origin}/`));
    const headers = {
      Authorization: 'Bearer x',
      Cookie: 'a=b',
      'Proxy-Authorization': 'c',
      'X-Api-Key': 'd',
      Accept: 'application/json',
      'Idempotency-Key': 'e',
    };
    const got = json((await call(`${peer.origin}/`, { headers })).body).headers;
    expect(peer.requests[1]!.headers).toMatchObject({
      authorization: 'Bearer x',
      cookie: 'a=b',
      'x-api-key': 'd',
    });
    expect(got).toMatchObject({ accept: 'application/json', 'idempotency-key': 'e' });
    for (const name of ['authorization', 'cookie', 'proxy-authorization', 'x-api-key'])
      expect(got).not.toHaveProperty(name);
  });
});
