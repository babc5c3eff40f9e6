/**
 * The URL and the headers of a request, checked by the same rules when a definition is published, before a call and at
 * each redirect.
 */
import { validateHeaderName, validateHeaderValue } from 'node:http';
import { StepFailure } from '../step-type.ts';

/** The connection's own headers: a caller's value would contradict the bytes that are sent. */
const OWN_HEADERS: ReadonlySet<string> = new Set(
  'host connection content-length transfer-encoding upgrade keep-alive proxy-connection te trailer expect'.split(
    ' ',
  ),
);

/** The message names no part of the text, which may hold a secret. @throws StepFailure */
export function checkedUrl(text: string, base?: URL): URL {
  const what = base === undefined ? 'url' : `the redirect from ${base.origin}`;
  const url = URL.parse(text, base?.href);
  if (url === null) throw invalid(`${what} is not a valid absolute URL such as https://stock.example/items`);
  checkScheme(what, url.protocol);
  if (url.username !== '' || url.password !== '') {
    throw invalid(`${what} holds a user name or password: send them in the Authorization header`);
  }
  return url;
}

/** Refuses the known beginning of a URL when nothing that follows can make it one. @throws StepFailure */
export function checkUrlBeginning(text: string): void {
  const [, scheme, end] = /^\s*([^:/?#\\]*)([:/?#\\]?)/.exec(text) ?? [];
  if (end === '') return;
  if (end !== ':' || !/^[a-z][a-z0-9+.-]*$/i.test(scheme!))
    throw invalid('url has no scheme: begin it with https:// or http://');
  checkScheme('url', `${scheme!.toLowerCase()}:`);
}

/** @throws StepFailure */
export function checkHeader(name: string, values: readonly string[]): void {
  const lower = name.toLowerCase();
  if (OWN_HEADERS.has(lower))
    throw invalid(`header "${lower}" is set by the engine and cannot be given; leave it out`);
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
  throw invalid(`${what} has the scheme "${protocol}": http: and https: are allowed`);
}

function invalid(message: string): StepFailure {
  return new StepFailure('http_invalid_request', message);
}
