/**
 * The HTTP client for addresses that a workflow's author chose: `http`, and every later step that calls out.
 *
 * It returns the answer of a peer with any status; the caller judges the status. A body that cannot be read does not
 * hide the status: the reply says why it is missing.
 *
 * 1. Every hop of a redirect passes the same checks as the first URL.
 * 2. Across origins only headers that cannot hold a credential go along.
 * 3. The time limit is for the whole call: name resolution, redirects and the body. No peer can outlive it.
 * 4. It throws StepFailure, or the reason of the caller's signal.
 */
import type { IncomingMessage } from 'node:http';
import { StepFailure } from '../step-type.ts';
import { type AllowList, bareHost, permittedAddresses, type Resolver } from './address.ts';
import { startDeadline } from './deadline.ts';
import { type HttpHeaders, portOf, readBody, sendRequest } from './exchange.ts';
import type { HttpReply } from './reply.ts';
import { checkedHeaders, checkedUrl, givenHost, shownUrl } from './target.ts';

export interface HttpClientSettings {
  allow: AllowList;
  /** Of a response body, before and after decompression. */
  maxResponseBytes: number;
  /** The time limit of a whole call that names none. */
  timeoutMs: number;
  resolve?: Resolver;
}

export interface HttpCall {
  method: string;
  url: string;
  /** Names in any case. */
  headers: HttpHeaders;
  body: string | Uint8Array | null;
  timeoutMs?: number;
  /** How many redirects are followed; with 0 a redirect is an answer like any other. */
  maxRedirects: number;
  signal: AbortSignal;
}

export type HttpClient = (call: HttpCall) => Promise<HttpReply>;

interface Hop {
  method: string;
  url: URL;
  /** The text of the URL as it was given: what messages show of it. */
  given: string;
  headers: HttpHeaders;
  body: string | Uint8Array | null;
}

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** The headers that are sent to another origin. */
const HARMLESS_HEADERS: ReadonlySet<string> = new Set(
  'accept accept-encoding accept-language cache-control content-type content-language content-encoding idempotency-key user-agent'.split(
    ' ',
  ),
);

export function createHttpClient(settings: HttpClientSettings): HttpClient {
  return async (call) => {
    const first = firstHop(call);
    const timeoutMs = call.timeoutMs ?? settings.timeoutMs;
    const deadline = startDeadline(call.signal, timeoutMs);
    try {
      const reply = await followRedirects(first, call.maxRedirects, settings, deadline.signal);
      call.signal.throwIfAborted();
      return reply;
    } catch (error) {
      if (deadline.signal.aborted) throw deadline.signal.reason;
      throw error;
    } finally {
      deadline.end();
    }
  };
}

async function followRedirects(
  first: Hop,
  maxRedirects: number,
  settings: HttpClientSettings,
  signal: AbortSignal,
): Promise<HttpReply> {
  let hop = first;
  for (let redirects = 0; ; redirects += 1) {
    const message = await send(hop, settings, signal);
    const next = maxRedirects > 0 ? nextHop(hop, message) : null;
    if (next === null) return await receive(hop, message, settings.maxResponseBytes, signal);
    message.destroy();
    if (redirects === maxRedirects) {
      throw new StepFailure(
        'http_too_many_redirects',
        `${shown(first)}: redirected more than ${maxRedirects} times`,
      );
    }
    hop = next;
  }
}

async function send(hop: Hop, settings: HttpClientSettings, signal: AbortSignal): Promise<IncomingMessage> {
  const { allow, resolve } = settings;
  try {
    const target = { hostname: hop.url.hostname, port: portOf(hop.url), shown: givenHost(hop.given) };
    const resolving = permittedAddresses(target, allow, resolve);
    const addresses = await unlessAborted(resolving, signal);
    return await unlessAborted(sendRequest({ ...hop, addresses, signal }), signal);
  } catch (error) {
    throw networkFailure(hop, error);
  }
}

async function receive(
  hop: Hop,
  message: IncomingMessage,
  maxBytes: number,
  signal: AbortSignal,
): Promise<HttpReply> {
  const head = { status: message.statusCode ?? 0, headers: receivedHeaders(message) };
  try {
    const body = await unlessAborted(readBody(message, hop.method, maxBytes), signal);
    return { ...head, body, fault: null };
  } catch (error) {
    message.destroy();
    const fault = networkFailure(hop, signal.aborted ? signal.reason : error);
    return { ...head, body: null, fault };
  }
}

/**
 * Waits for a promise until the signal fires. Every wait of a call goes through here: no resolver and no peer, whatever
 * it does with the connection, makes a call longer than its time limit.
 */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

function networkFailure(hop: Hop, error: unknown): StepFailure {
  if (error instanceof StepFailure) return error;
  const { code, message = 'the connection failed' } = error as { code?: string; message?: string };
  const told = withGivenHost(hop, message);
  return new StepFailure('http_network_error', `${shown(hop)}: ${told}`, {
    retryable: true,
    details: { reason: code ?? null },
    // It is logged, and has the host in the form of the URL.
    cause: told === message ? error : undefined,
  });
}

/** Returns a message of the network with the host as it was given: the masker knows a secret only in that form. */
function withGivenHost({ url, given }: Hop, message: string): string {
  const names = [url.hostname, bareHost(url.hostname)];
  return names.reduce((text, name) => text.replaceAll(name, () => givenHost(given)), message);
}

function receivedHeaders(message: IncomingMessage): HttpHeaders {
  return Object.fromEntries(
    Object.entries(message.headers).filter((entry) => entry[1] !== undefined),
  ) as HttpHeaders;
}

function shown({ method, given }: Hop): string {
  return `${method} ${shownUrl(given)}`;
}

function firstHop(call: HttpCall): Hop {
  return {
    method: call.method,
    url: checkedUrl(call.url),
    given: call.url,
    headers: checkedHeaders(call.headers),
    body: call.body,
  };
}

/** The target of a redirect; null when the response is not a redirect. */
function nextHop(hop: Hop, message: IncomingMessage): Hop | null {
  const status = message.statusCode ?? 0;
  const location = message.headers.location;
  if (!REDIRECTS.has(status) || location === undefined) return null;
  const url = checkedUrl(location, hop.url);
  const toGet = status === 303 ? hop.method !== 'HEAD' : status < 303 && hop.method === 'POST';
  const names = Object.keys(hop.headers).filter(
    (name) =>
      (url.origin === hop.url.origin || HARMLESS_HEADERS.has(name)) &&
      !(toGet && name.startsWith('content-')),
  );
  const headers = Object.fromEntries(names.map((name) => [name, hop.headers[name]!]));
  return { url, given: location, headers, method: toGet ? 'GET' : hop.method, body: toGet ? null : hop.body };
}
