/**
 * Messages of the client show a text of the author only as it was given: the masker then finds every secret in it,
 * however URL, header and charset names are written on their way.
 */
import { expect, test } from 'bun:test';
import { createMasker } from '../../core/masking/masker.ts';
import { failureOf, httpPeer } from '../../tests/support/http-peer.ts';
import { stepContext } from '../../tests/support/step-context.ts';
import { createHttp } from '../http.ts';
import { parseAllowList } from './address.ts';
import { createHttpClient } from './client.ts';

const notFound = (host: string) => {
  throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND', hostname: host });
};
const http = createHttp(
  createHttpClient({
    allow: parseAllowList(['127.0.0.1']),
    maxResponseBytes: 1_000_000,
    timeoutMs: 200_000,
    resolve: async (host) =>
      host.endsWith('.private') ? [{ address: '10.1.2.3', family: 4 }] : notFound(host),
  }),
);

const SECRETS = ['AbCdEfGhIjKl', 'MÜNCHEN-Straße', 'ALLCAPSSECRET', 'Пароль-Секрет'];
type Params = Parameters<typeof http.run>[0]['params'];
/** Places of a request. */
const PLACES: Readonly<Record<string, (secret: string) => Params>> = {
  'a host': (secret) => ({ url: `http://${secret}/` }),
  'a part of a host': (secret) => ({ url: `http://api.${secret}.example./x` }),
  'a host beside a query': (secret) => ({ url: `http://${secret}/`, query: { n: 1 } }),
  'a host that is private': (secret) => ({ url: `http://${secret}.private/` }),
  'host and path': (secret) => ({ url: `http://${secret.slice(0, 5)}/${secret}` }),
  'a host and its path': (secret) => ({ url: `http://x.${secret.slice(0, 6)}.private/${secret}` }),
  'a user name': (secret) => ({ url: `http://${secret}@shop.example/` }),
  'a scheme': (secret) => ({ url: `${secret}://shop.example/` }),
  'a port': (secret) => ({ url: `http://shop.example:${secret}/` }),
  'no URL': (secret) => ({ url: secret }),
  'a header name': (secret) => ({ url: 'http://127.0.0.1:1/', headers: { [`${secret} `]: 'x' } }),
  'a header value': (secret) => ({ url: 'http://127.0.0.1:1/', headers: { 'x-a': `${secret}\n` } }),
  'a charset': (secret) => ({
    url: 'http://127.0.0.1:1/',
    method: 'POST',
    headers: { 'content-type': `text/plain; charset=${secret}` },
    body: 'x',
  }),
  'the charset of a form': (secret) => ({
    url: 'http://127.0.0.1:1/',
    method: 'POST',
    headers: { 'content-type': `application/x-www-form-urlencoded; charset=${secret}` },
    body: { a: 'x' },
  }),
};
/** Targets of a redirect. */
const LOCATIONS: Readonly<Record<string, (secret: string) => string>> = {
  'a host': (secret) => `http://${secret}/`,
  'a host that is private': (secret) => `http://${secret}.private/`,
  'a scheme': (secret) => `${secret}://shop.example/`,
  'a user name': (secret) => `http://${secret}@shop.example/`,
};

const run = async (params: Params) => http.run(stepContext({ params }));

/** All that is told of a failure, with its causes, as it leaves the step. */
function told(secret: string, error: Error & Record<string, unknown>): string {
  const masker = createMasker([secret]);
  const causes: string[] = [];
  for (let cause = error.cause; cause instanceof Error; cause = cause.cause) causes.push(String(cause.stack));
  const details = JSON.stringify(masker.value((error.details ?? null) as never));
  return [masker.text(error.message), details, ...causes.map((cause) => masker.text(cause))].join('\n');
}

/** The secret as it is, in any case, and in the ASCII of a host. */
function expectHidden(secret: string, shown: string): void {
  const forms = [secret, URL.parse(`http://${secret}/`)?.hostname].filter((form) => form !== undefined);
  for (const form of forms) expect(shown.toLowerCase()).not.toContain(form.toLowerCase());
}

for (const [place, params] of Object.entries(PLACES))
  test(`a secret in the place of ${place} is masked in what is told of the failure`, async () => {
    for (const secret of SECRETS) expectHidden(secret, told(secret, await failureOf(run(params(secret)))));
  });

for (const [place, location] of Object.entries(LOCATIONS))
  test(`a secret that a peer redirects to in the place of ${place} is masked in what is told of the failure`, async () => {
    for (const secret of SECRETS) {
      await using peer = await httpPeer((_request, response) => {
        // As bytes: a peer sends them as they are.
        response.socket!.end(
          Buffer.from(`HTTP/1.1 302 Found\r\nlocation: ${location(secret)}\r\n\r\n`, 'utf8'),
        );
      });
      const failure = await failureOf(run({ url: `${peer.origin}/` }));
      expectHidden(secret, told(secret, failure));
    }
  });
