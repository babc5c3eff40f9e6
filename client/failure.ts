/**
 * The errors of the client's calls.
 */
import type { ProblemBody } from '../services/template-answers.ts';

/** An answer of the engine that refuses a call, in the words of RFC 9457. */
export interface ProblemAnswer {
  code: string;
  detail: string;
  errors?: ProblemBody[] | undefined;
  request_id?: string | undefined;
}

/** The engine refused the call; `problems` has one entry per error. */
export class EngineProblem extends Error {
  readonly status: number;
  readonly code: string;
  readonly problems: readonly ProblemBody[];
  readonly requestId: string | null;
  /** Seconds after which the engine asks to be called again; null: it did not say. */
  readonly retryAfterSeconds: number | null;

  constructor(status: number, body: ProblemAnswer, retryAfterSeconds: number | null = null) {
    super(body.detail);
    this.name = 'EngineProblem';
    this.status = status;
    this.code = body.code;
    this.problems = body.errors ?? [];
    this.requestId = body.request_id ?? null;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** No engine answers at the address. */
export class EngineUnreachable extends Error {
  readonly url: string;
  /** The status of an answer that is not from an engine; null: there was no whole answer. */
  readonly status: number | null;
  /** Whether the time for the call was over: something may be there that hangs. */
  readonly timedOut: boolean;

  constructor(url: string, reason: string, options: { cause?: unknown; status?: number } = {}) {
    super(
      `No engine answers at ${url}: ${reason}${/[.?!]$/.test(reason) ? '' : '.'}`,
      'cause' in options ? { cause: options.cause } : undefined,
    );
    this.name = 'EngineUnreachable';
    this.url = url;
    this.status = options.status ?? null;
    this.timedOut = isTimeout(options.cause);
  }
}

const REASONS: readonly (readonly [code: RegExp, reason: string])[] = [
  [/refused/i, 'connection refused'],
  [/^ENOTFOUND$/, 'there is no host of that name'],
  [/^EAI_AGAIN$/, 'its name cannot be looked up now'],
  [/^E(HOST|NET)UNREACH$/, 'there is no way to that host'],
  [/^(ETIMEDOUT|UND_ERR_CONNECT_TIMEOUT|ConnectionTimeout)$/, 'no connection in time'],
  [/^(EPROTO|ERR_SSL_\w+)$/, 'it does not speak TLS there; is it an http:// address?'],
  [/^HPE_|HTTPParserError|^Malformed_HTTP_Response$/, 'what is there does not speak HTTP'],
  [/^ERR_PROXY_/, 'the proxy that the environment names refuses it'],
];
const CLOSED = /^(ECONNRESET|EPIPE|UND_ERR_SOCKET|ConnectionClosed)$/;
const CERTIFICATE = /CERT|SIGNATURE|ALTNAME/;

/**
 * The reason of a request that failed, as half a sentence. Runtimes hide the system's reason in different places.
 *
 * @param mayBeTls whether the address has never answered without TLS
 */
export function reasonOf(error: unknown, mayBeTls: boolean, timeoutMs: number): string {
  const { code, cause, message } = error as {
    code?: unknown;
    cause?: { code?: unknown; name?: string; message?: string };
    message?: string;
  };
  if (isTimeout(error)) return `no answer within ${timeoutMs / 1_000} s`;
  const signs = [code, cause?.code, cause?.name, cause?.message].filter((sign) => typeof sign === 'string');
  for (const sign of signs) {
    const known = REASONS.find(([pattern]) => pattern.test(sign));
    if (known !== undefined) return known[1];
    if (CERTIFICATE.test(sign)) return `its certificate is not accepted (${sign})`;
    if (CLOSED.test(sign))
      return `the connection was closed before there was an answer${mayBeTls ? '; is it an https:// address?' : ''}`;
  }
  return (signs.at(-1) ?? message ?? String(error)).split('\n', 1)[0]!;
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.name === 'TimeoutError';
}
