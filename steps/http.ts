/**
 * `http`: calls a URL and gives `{ status, headers, body }`.
 *
 * Not here: connections, redirects and the address rule (http/client.ts); the reading of bodies (http/body.ts).
 *
 * 1. A status outside `expect` is a failure, never a result. The status decides before the body does.
 * 2. The peer is told the idempotency key on every attempt, unless the author sets the header.
 */
import type { Json, JsonObject } from '../core/json/json.ts';
import { type BigNumbers, decodeOutput, encodeBody, queryPairs } from './http/body.ts';
import type { HttpCall, HttpClient } from './http/client.ts';
import { reviewHttp } from './http/review.ts';
import { contentTypeOf, statusFailure } from './http/status-failure.ts';
import { checkedHeaders, shownUrl } from './http/target.ts';
import { durationOf, durationSchema } from './measure.ts';
import type { StepContext, StepType } from './step-type.ts';

type HeaderValue = string | number | boolean | string[];
type HttpParams = {
  url: string;
  method?: string;
  query?: JsonObject;
  headers?: Record<string, HeaderValue>;
  body?: Json;
  timeout?: number | string;
  expect?: number | string | (number | string)[];
  followRedirects?: boolean | number;
  bigNumbers?: BigNumbers;
};

const MAX_REDIRECTS = 5;
const ACCEPT: Record<string, string> = {
  accept: '*/*',
  'accept-encoding': 'gzip, deflate, br',
  'user-agent': 'execution-engine',
};

const STATUS = {
  anyOf: [
    { type: 'integer', minimum: 100, maximum: 599 },
    { type: 'string', pattern: '^[1-5][0-9]{2}(-[1-5][0-9]{2})?$', examples: ['404', '200-299'] },
  ],
};
const SCALARS = [{ type: 'string' }, { type: 'number' }, { type: 'boolean' }];

const schema = {
  type: 'object',
  additionalProperties: false,
  required: ['url'],
  properties: {
    url: {
      type: 'string',
      minLength: 1,
      description: 'Absolute, http or https, without user name and password.',
    },
    method: { enum: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'], default: 'GET' },
    query: {
      type: 'object',
      description: 'Appended to the query of the URL; arrays repeat the name, null is left out.',
      additionalProperties: {
        anyOf: [...SCALARS, { type: 'null' }, { type: 'array', items: { anyOf: SCALARS } }],
      },
    },
    headers: {
      type: 'object',
      description: 'Names in any case; an array sends the header several times.',
      additionalProperties: { anyOf: [...SCALARS, { type: 'array', items: { type: 'string' } }] },
    },
    body: { description: 'Text is sent as it is, null is no body, anything else is sent as JSON.' },
    timeout: durationSchema(
      'Of the whole call with its redirects; default: the setting of the engine (30s).',
      1,
    ),
    expect: {
      description: 'The statuses that are a success: 204, "200-299", or a list of these. Default "200-299".',
      anyOf: [...STATUS.anyOf, { type: 'array', minItems: 1, items: STATUS }],
    },
    followRedirects: {
      description: 'Whether redirects are followed, or how many at most; default true, which is 5.',
      anyOf: [{ type: 'boolean' }, { type: 'integer', minimum: 0, maximum: 20 }],
    },
    bigNumbers: {
      description:
        'What becomes of numbers in JSON that a double cannot hold: the step fails, or they become text.',
      enum: ['fail', 'text'],
      default: 'fail',
    },
  },
};

export function createHttp(client: HttpClient): StepType<HttpParams> {
  return {
    type: 'http',
    limitedBy: 'timeout',
    summary: 'Calls an HTTP URL.',
    readsInputs: () => false,
    schema,
    review: reviewHttp,
    async run(context) {
      const call = await toCall(context);
      const reply = await client(call);
      const { expect = '200-299', bigNumbers = 'fail' } = context.params;
      if (!isExpected(reply.status, expect))
        throw statusFailure('http_status', `${call.method} ${shownUrl(call.url)}`, reply);
      const { status, headers, body, fault } = reply;
      if (fault !== null) throw fault;
      return { status, headers, ...(await decodeOutput(body, contentTypeOf(headers), bigNumbers)) };
    },
  };
}

async function toCall({ params, idempotencyKey, signal }: StepContext<HttpParams>): Promise<HttpCall> {
  // As they were given: a message about one shows its name.
  const given = checkedHeaders(
    Object.fromEntries(
      Object.entries(params.headers ?? {}).map(([name, value]) => [name, headerText(value)] as const),
    ),
  );
  const headers = { ...ACCEPT, 'idempotency-key': idempotencyKey, ...given };
  const named = given['content-type'];
  const { body, contentType } = await encodeBody(params.body, [named].flat()[0]);
  const call: HttpCall = {
    method: params.method ?? 'GET',
    url: withQuery(params.url, params.query),
    headers:
      named === undefined && contentType !== null ? { ...headers, 'content-type': contentType } : headers,
    body,
    maxRedirects: redirectsOf(params.followRedirects ?? true),
    signal,
  };
  if (params.timeout !== undefined) call.timeoutMs = durationOf(params.timeout, 'timeout', 1);
  return call;
}

function headerText(value: HeaderValue): string | string[] {
  return Array.isArray(value) ? value : String(value);
}

function redirectsOf(follow: boolean | number): number {
  return typeof follow === 'number' ? follow : follow ? MAX_REDIRECTS : 0;
}

/** As text: `URL` would change the spelling of what the author wrote, which breaks signed URLs. */
function withQuery(text: string, query: JsonObject | undefined): string {
  if (query === undefined) return text;
  const [whole = ''] = text.trim().split('#', 1);
  const [place = '', ...own] = whole.split('?');
  const added = queryPairs(query).toString();
  const search = [own.join('?'), added].filter((part) => part !== '').join('&');
  return search === '' ? place : `${place}?${search}`;
}

function isExpected(status: number, expect: NonNullable<HttpParams['expect']>): boolean {
  return [expect].flat().some((one) => {
    const [from, to = from] = String(one).split('-').map(Number);
    return status >= from! && status <= to!;
  });
}
