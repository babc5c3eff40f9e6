/**
 * One call over HTTP: the request, its time limit, and the answer when it is an engine's.
 *
 * A call that is answered 429 changed nothing: it is sent once more after the time that the engine names. Other calls
 * are not repeated here.
 */
import { type Check, refused } from './answer.ts';
import { EngineProblem, EngineUnreachable, reasonOf } from './failure.ts';

export interface EngineClientOptions {
  /** Base address, e.g. `http://localhost:3020`. */
  url: string;
  /** API key. */
  token?: string | undefined;
  /** How long one call may take; default: 90 s, which is more than the longest wait of `status`. */
  timeoutMs?: number | undefined;
  /** Default: the platform's. */
  fetch?: ((url: string, init: RequestInit) => Promise<Response>) | undefined;
  /** Waits between a refusal and the second try; default: a timer. */
  sleep?: ((ms: number, signal?: AbortSignal) => Promise<void>) | undefined;
}

export interface Payload {
  /** Sent as JSON. */
  body?: unknown;
  /** Sent as it is. */
  text?: string;
  mediaType?: string;
  /** Sent as the header of that name. */
  idempotencyKey?: string | undefined;
  signal?: AbortSignal | undefined;
}

export interface Answer<T> {
  status: number;
  body: T;
}

/**
 * Sends a request and checks the answer. Throws EngineProblem, EngineUnreachable, or the reason of the caller's signal.
 */
export type Send = <T>(
  method: string,
  path: string,
  check: Check<T>,
  payload?: Payload,
) => Promise<Answer<T>>;

/** A call whose answer is all that counts. */
export type Call = <T>(method: string, path: string, check: Check<T>, payload?: Payload) => Promise<T>;

const DEFAULT_TIMEOUT_MS = 90_000;
/** The caller decides about a longer wait that the engine asks for. */
const MAX_WAIT_SECONDS = 30;
const LOOPBACK =
  /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\]|\[::ffff:7f[0-9a-f]{2}:[0-9a-f]{1,4}\])\.?$/;

/** Throws TypeError when the address cannot be used; no message repeats a password. */
export function createSend(options: EngineClientOptions): Send {
  const { sleep = wait } = options;
  const once = createSendOnce(options);
  return async (method, path, check, payload = {}) => {
    try {
      return await once(method, path, check, payload);
    } catch (error) {
      const seconds = error instanceof EngineProblem && error.status === 429 ? error.retryAfterSeconds : null;
      if (seconds === null || seconds > MAX_WAIT_SECONDS) throw error;
      await sleep(seconds * 1_000, payload.signal);
    }
    return await once(method, path, check, payload);
  };
}

/** Returns whether an address names this machine on every network. */
export function isLoopbackUrl(url: string): boolean {
  return LOOPBACK.test(new URL(url).hostname);
}

/**
 * Opens an answer that is read as it comes, without a time limit. Throws EngineProblem, EngineUnreachable, or the reason of
 * the signal.
 */
export function createOpen({
  url,
  token,
  timeoutMs = DEFAULT_TIMEOUT_MS,
  fetch: send = fetch,
}: EngineClientOptions) {
  const base = baseOf(url);
  const isLoopback = isLoopbackUrl(base);
  return async (
    path: string,
    mediaType: string,
    signal: AbortSignal,
  ): Promise<ReadableStream<Uint8Array>> => {
    let response: Response;
    const request = requestOf('GET', { signal }, token, null, isLoopback);
    try {
      response = await send(base + path, { ...request, headers: { ...request.headers, Accept: mediaType } });
      if (response.ok && response.body !== null) {
        if (response.headers.get('content-type')?.startsWith(mediaType)) return response.body;
        throw new Error(`what is there answers without ${mediaType}`);
      }
    } catch (cause) {
      if (signal.aborted) throw cause;
      throw new EngineUnreachable(base, reasonOf(cause, false, timeoutMs), { cause });
    }
    const problem = parse(base, response, await response.text(), refused);
    throw new EngineProblem(response.status, problem, secondsOf(response.headers.get('retry-after')));
  };
}

function createSendOnce({
  url,
  token,
  timeoutMs = DEFAULT_TIMEOUT_MS,
  fetch: send = fetch,
}: EngineClientOptions) {
  const base = baseOf(url);
  if (token !== undefined && !/^[\x20-\x7e]*$/.test(token))
    throw new TypeError('The key has characters that no header can carry; give it as it was made.');
  const isLoopback = isLoopbackUrl(base);
  let mayBeTls = base.startsWith('http:');
  return async <T>(method: string, path: string, check: Check<T>, payload: Payload): Promise<Answer<T>> => {
    let response: Response;
    let text: string;
    // A body that JSON cannot hold throws here: that is not the engine's doing.
    const request = requestOf(method, payload, token, timeoutMs, isLoopback);
    try {
      response = await send(base + path, request);
      mayBeTls = false;
      text = await response.text();
    } catch (cause) {
      if (payload.signal?.aborted) throw cause;
      throw new EngineUnreachable(base, reasonOf(cause, mayBeTls, timeoutMs), { cause });
    }
    if (!response.ok) {
      const problem = parse(base, response, text, refused);
      throw new EngineProblem(response.status, problem, secondsOf(response.headers.get('retry-after')));
    }
    return { status: response.status, body: parse(base, response, text, check) };
  };
}

function baseOf(url: string): string {
  if (!URL.canParse(url))
    throw new TypeError('The url of an engine is no address; give one like http://localhost:3020.');
  const { protocol, username, password, search, hash } = new URL(url);
  if (protocol !== 'http:' && protocol !== 'https:')
    throw new TypeError('The url of an engine begins with http:// or https://.');
  if (username !== '' || password !== '')
    throw new TypeError('The url of an engine has no user and no password; give the key as token.');
  if (search !== '' || hash !== '') throw new TypeError('The url of an engine has neither "?" nor "#".');
  return url.replace(/\/+$/, '');
}

/** The engine sends whole seconds; a date is ignored. */
function secondsOf(header: string | null): number | null {
  return header !== null && /^\d{1,9}$/.test(header) ? Number(header) : null;
}

/** Rejects with the signal's reason when it is aborted. */
export function wait(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal?.addEventListener('abort', stop, { once: true });
  });
}

function requestOf(
  method: string,
  { body, text, mediaType, idempotencyKey, signal }: Payload,
  token: string | undefined,
  timeoutMs: number | null,
  isLoopback: boolean,
): RequestInit {
  const content = text ?? (body === undefined ? undefined : JSON.stringify(body));
  const headers: Record<string, string> = { Accept: 'application/json' };
  if (token !== undefined && token !== '') headers.Authorization = `Bearer ${token}`;
  if (content !== undefined) headers['Content-Type'] = mediaType ?? 'application/json';
  if (idempotencyKey !== undefined) headers['Idempotency-Key'] = idempotencyKey;
  const signals = [timeoutMs === null ? [] : AbortSignal.timeout(timeoutMs), signal ?? []].flat();
  return {
    method,
    headers,
    // A redirect would send the key to an address that the caller did not name.
    redirect: 'manual',
    signal: AbortSignal.any(signals),
    ...(content === undefined ? {} : { body: content }),
    // Bun uses the proxy of the environment for loopback too, where the proxy would call itself.
    ...(isLoopback ? ({ proxy: false } as object) : {}),
  };
}

/** The JSON of an answer of the engine; other answers are not from an engine. */
function parse<T>(base: string, response: Response, text: string, check: Check<T>): T {
  const { status } = response;
  const fail = (reason: string, cause?: unknown) => new EngineUnreachable(base, reason, { cause, status });
  const target = response.headers.get('location');
  if (status >= 300 && status < 400 && target !== null)
    throw fail(`it redirects to ${originOf(target, base)}; if the engine is there, name that address`);
  const body = status === 204 ? undefined : parseJson(response, text, fail);
  const misfit = check(body, '');
  if (misfit !== null) throw fail(`what is there answers ${status} with something else: ${misfit}`);
  return body as T;
}

function parseJson(
  response: Response,
  text: string,
  fail: (reason: string, cause?: unknown) => Error,
): unknown {
  const mediaType = response.headers.get('content-type')?.split(';')[0]?.trim() ?? '';
  const expected = response.ok ? 'application/json' : 'application/problem+json';
  if (mediaType !== expected)
    throw fail(`what is there answers ${response.status} ${mediaType || 'without a media type'}`);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw fail('the answer is cut short', cause);
  }
}

function originOf(location: string, base: string): string {
  return URL.canParse(location, base) ? new URL(location, base).origin : 'another address';
}
