/**
 * The URL and the headers of a request, checked by the same rules when a definition is published, before a call and at
 * each redirect.
 */
import { validateHeaderName, validateHeaderValue } from 'node:http';
import { StepFailure } from '../step-type.ts';
import type { HttpHeaders } from './exchange.ts';

/** The connection's own headers: a caller's value would contradict the bytes that are sent. */
const OWN_HEADERS: ReadonlySet<string> = new Set(
  'host connection content-length transfer-encoding upgrade keep-alive proxy-connection te trailer expect'.split(
    ' ',
  ),
);

/**
 * The messages show no part of the text: `URL` lowers its case and writes hosts in ASCII, and the masker knows a secret
 * only as it was given. @throws StepFailure
 */
export function checkedUrl(text: string, base?: URL): URL {
  const what = base === undefined ? 'url' : 'the redirect';
  const url = URL.parse(text, base?.href);
  if (url === null) throw invalid(`${what} is not a valid absolute URL such as https://stock.example/items`);
  checkScheme(what, url.protocol);
  if (url.username !== '' || url.password !== '') {
    throw invalid(`${what} holds a user name or password: send them in the Authorization header`);
  }
  // Node would connect to the port of the scheme.
  if (url.port === '0') throw invalid(`${what} has the port 0, on which nothing listens`);
  return url;
}

/**
 * The host of a URL as it was given: `URL` gives it in lower case and in ASCII. It is empty for a relative URL.
 */
export function givenHost(text: string): string {
  return /^[^:/?#\\]*:[/\\]*(\[[^\]]*\]|[^:/?#\\]*)/.exec(text)?.[1] ?? '';
}

/** A URL as it was given, without its query, which may be secret. */
export function shownUrl(text: string): string {
  return text.trim().split(/[?#]/, 1)[0]!;
}

/** Refuses the known beginning of a URL when nothing that follows can make it one. @throws StepFailure */
export function checkUrlBeginning(text: string): void {
  const [, scheme, end] = /^\s*([^:/?#\\]*)([:/?#\\]?)/.exec(text) ?? [];
  if (end === '') return;
  if (end !== ':' || !/^[a-z][a-z0-9+.-]*$/i.test(scheme!))
    throw invalid('url has no scheme: begin it with https:// or http://');
  checkScheme('url', `${scheme!.toLowerCase()}:`);
}

/** Returns the headers with their names in lower case. Each is given once. @throws StepFailure */
export function checkedHeaders(headers: HttpHeaders): HttpHeaders {
  const names = new Map<string, string>();
  for (const [name, value] of Object.entries(headers)) {
    checkHeader(name, [value].flat());
    const first = names.get(name.toLowerCase());
    if (first !== undefined) throw invalid(sameHeader(first, name));
    names.set(name.toLowerCase(), name);
  }
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

/** A sentence about a header that is given twice. */
export function sameHeader(first: string, second: string): string {
  return `"${first}" and "${second}" are the same header, and only the last would be sent; give it once, with a list of values.`;
}

/** @throws StepFailure */
export function checkHeader(name: string, values: readonly string[]): void {
  const lower = name.toLowerCase();
  if (OWN_HEADERS.has(lower))
    throw invalid(`header "${lower}" is set by the engine and cannot be given; leave it out`);
  // A response may have no such header either: an object cannot hold it as a member like others.
  if (lower === '__proto__') throw invalid('header "__proto__" cannot be sent; leave it out');
  try {
    validateHeaderName(name);
    for (const value of values) validateHeaderValue(name, value);
  } catch {
    throw invalid(
      `header ${JSON.stringify(name)} has a name or value that HTTP does not allow (line breaks, control or non-Latin characters)`,
    );
  }
}

function checkScheme(what: string, protocol: string): void {
  if (protocol === 'http:' || protocol === 'https:') return;
  throw invalid(`${what} has another scheme than http: or https:`);
}

function invalid(message: string): StepFailure {
  return new StepFailure('http_invalid_request', message);
}
