/**
 * One request and its response over node:http or node:https, to addresses that were checked before.
 *
 * Not here: redirects, the time limit and the address rule (client.ts).
 *
 * 1. Never `fetch`: on Bun it ignores a pinned lookup, and it honours proxies found in the environment.
 * 2. A connection is used once: no two calls share one, so no check of an address outlives its call, and no
 *    request is lost on a connection that the peer is just closing.
 * 3. Of a body at most the cap is kept, before and after it is decoded.
 */
import type { LookupAddress } from 'node:dns';
import http, { type IncomingMessage, type RequestOptions } from 'node:http';
import https from 'node:https';
import type { Duplex } from 'node:stream';
import { StepFailure } from '../step-type.ts';
import { decodeContent, tooLarge } from './content-coding.ts';

export type HttpHeaders = Record<string, string | string[]>;

export interface HttpExchange {
  method: string;
  url: URL;
  /** Names in lower case. */
  headers: HttpHeaders;
  body: string | Uint8Array | null;
  addresses: readonly LookupAddress[];
  /** Destroys the connection, so that the peer sees it close. */
  signal: AbortSignal;
}

const httpAgent = new http.Agent({ keepAlive: false });
const httpsAgent = new https.Agent({ keepAlive: false });

/** Answers every lookup with the addresses that were checked. */
function pinned(addresses: readonly LookupAddress[]): NonNullable<RequestOptions['lookup']> {
  return (_hostname, options, done) => {
    const first = addresses[0];
    if (first === undefined) done(new Error('no address to connect to'), '', 0);
    else if (options.all) done(null, [...addresses]);
    else done(null, first.address, first.family);
  };
}

/**
 * Sends the request; resolves with the response once its head is here. Every end of the connection before that
 * rejects. A peer that keeps silent ends with the caller's signal, for which the caller does not wait here.
 */
export function sendRequest(exchange: HttpExchange): Promise<IncomingMessage> {
  const { method, url, headers, body, addresses, signal } = exchange;
  const secure = url.protocol === 'https:';
  const length =
    body === null ? bodilessLength(method) : { 'content-length': String(Buffer.byteLength(body)) };
  return new Promise((resolve, reject) => {
    const request = (secure ? https : http).request({
      agent: secure ? httpsAgent : httpAgent,
      protocol: url.protocol,
      hostname: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: portOf(url),
      path: `${url.pathname}${url.search}`,
      method,
      headers: { ...headers, ...length },
      lookup: pinned(addresses),
      signal,
    });
    request.once('response', (message) => {
      // An error after the body was left has no other listener.
      message.on('error', () => {});
      if (message.statusCode! >= 200) return resolve(message);
      message.destroy();
      reject(switchesProtocols());
    });
    const refuseSwitch = (_message: IncomingMessage, socket: Duplex) => {
      socket.destroy();
      reject(switchesProtocols());
    };
    request.once('upgrade', refuseSwitch).once('connect', refuseSwitch);
    // Stays for the life of the request: an error after the response reaches the reader of the body.
    request.on('error', reject);
    request.once('close', () => reject(new Error('the connection was closed without an answer')));
    request.end(body ?? undefined);
  });
}

/** The port of a URL, also where it is the one of its scheme or 0. */
export function portOf(url: URL): number {
  return url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port);
}

/** The engine asks no peer to speak another protocol. */
function switchesProtocols(): StepFailure {
  return new StepFailure('http_invalid_response', 'the peer switched to another protocol (status 101)', {
    retryable: true,
  });
}

/** The header of a request without a body: a peer may otherwise wait for one after POST, PUT and PATCH. */
function bodilessLength(method: string): HttpHeaders {
  return ['POST', 'PUT', 'PATCH'].includes(method) ? { 'content-length': '0' } : {};
}

/** The whole body, decoded; throws StepFailure `http_response_too_large` above `maxBytes`, `http_invalid_response`. */
export async function readBody(message: IncomingMessage, method: string, maxBytes: number): Promise<Buffer> {
  // The answer to HEAD, and a 304, name the length of a body that they do not have.
  const hasBody = method !== 'HEAD' && message.statusCode !== 304;
  if (hasBody && Number(message.headers['content-length'] ?? 0) > maxBytes) {
    message.destroy();
    throw tooLarge(maxBytes);
  }
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) throw tooLarge(maxBytes);
    chunks.push(chunk);
  }
  return decodeContent(Buffer.concat(chunks), message.headers['content-encoding'], maxBytes);
}
