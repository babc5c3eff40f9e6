/**
 * The engine's HTTP API as typed calls, on the platform's `fetch` and nothing else.
 *
 * A call that is answered 429 changed nothing: it is sent once more after the time that the engine names. Nothing else
 * is repeated here. A start with an idempotency key may be sent again by whoever wants to.
 *
 * Invariant 1: a call resolves with what its type says, or throws EngineProblem (the engine said no) or
 * EngineUnreachable (no engine said anything). Only an AbortSignal of the caller adds a third way out.
 */
import type { ExecutionStatus } from '../core/status.ts';
import type { DoctorReport } from '../services/doctor/report.ts';
import type {
  ExecutionFilter,
  ExecutionListItem,
  ExecutionStatusBody,
  Page,
  ProblemBody,
  PublishResult,
  StartItem,
  StartResult,
  StopResult,
  TemplateBody,
  TemplateSummary,
  ValidateResult,
} from '../services/service-types.ts';

export interface EngineClientOptions {
  /** Base address, e.g. `http://localhost:3020`. */
  url: string;
  /** API key. */
  token?: string | undefined;
  /** Default: the platform's. */
  fetch?: ((url: string, init: RequestInit) => Promise<Response>) | undefined;
  /** Waits between a refusal and the second try; default: a timer. */
  sleep?: ((ms: number, signal?: AbortSignal) => Promise<void>) | undefined;
}

export type DefinitionMediaType = 'application/json' | 'application/yaml';

export interface StatusOptions {
  /** Adds the outputs of every step. */
  includeOutputs?: boolean | undefined;
  /** A duration such as `30s`: answers when the execution is final or after this time (at most a minute). */
  wait?: string | undefined;
  /** Steps of this scope; default the top level. */
  scope?: string | undefined;
  signal?: AbortSignal | undefined;
}

export interface PageOptions {
  limit?: number | undefined;
  cursor?: string | undefined;
}

export interface DoctorQuery {
  /** Also final executions that are older than an hour, and every execution as a whole. */
  everything?: boolean | undefined;
  /** Seconds for which something must have been so; default: a time that suits each invariant. */
  grace_seconds?: number | undefined;
  /** Names of invariants that may be broken here. */
  accept?: string[] | undefined;
}

/** The engine refused; `problems` has one entry per thing that is wrong. */
export class EngineProblem extends Error {
  readonly status: number;
  readonly code: string;
  readonly problems: readonly ProblemBody[];
  readonly requestId: string | null;
  /** Seconds after which the engine asks to be called again; null: it did not say. */
  readonly retryAfterSeconds: number | null;

  constructor(
    status: number,
    body: { code: string; detail: string; errors?: ProblemBody[]; request_id?: string },
    retryAfterSeconds: number | null = null,
  ) {
    super(body.detail);
    this.name = 'EngineProblem';
    this.status = status;
    this.code = body.code;
    this.problems = body.errors ?? [];
    this.requestId = body.request_id ?? null;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** Nothing that answers like an engine is at the address. */
export class EngineUnreachable extends Error {
  readonly url: string;

  constructor(url: string, reason: string, cause?: unknown) {
    super(`No engine answers at ${url}: ${reason}`, cause === undefined ? undefined : { cause });
    this.name = 'EngineUnreachable';
    this.url = url;
  }
}

export type EngineClient = ReturnType<typeof createEngineClient>;

/** A client of one engine. It holds no connection. */
export function createEngineClient(options: EngineClientOptions) {
  const send = createSend(options);
  const json = async <T>(method: string, path: string, body?: unknown) =>
    (await send<T>(method, path, { body })).body;
  return {
    /** Publishes a definition; `created` is false when it equals the latest version. */
    async publish(
      definition: string,
      mediaType: DefinitionMediaType,
    ): Promise<PublishResult & { created: boolean }> {
      const { status, body } = await send<PublishResult>('POST', '/api/v1/templates', {
        text: definition,
        mediaType,
      });
      return { ...body, created: status === 201 };
    },
    async validate(definition: string, mediaType: DefinitionMediaType): Promise<ValidateResult> {
      return (
        await send<ValidateResult>('POST', '/api/v1/templates/validate', { text: definition, mediaType })
      ).body;
    },
    getTemplate: (name: string, version?: number) =>
      json<TemplateBody>('GET', `/api/v1/templates/${encodeURIComponent(name)}${queryOf({ version })}`),
    listTemplates: (page: PageOptions = {}) =>
      json<Page<TemplateSummary>>('GET', `/api/v1/templates${queryOf({ ...page })}`),
    archiveTemplate: (name: string) => json<void>('DELETE', `/api/v1/templates/${encodeURIComponent(name)}`),
    start: (item: StartItem) => json<StartResult>('POST', '/api/v1/execution/start', item),
    startMany: async (items: StartItem[]) =>
      (await json<{ executions: StartResult[] }>('POST', '/api/v1/execution/start-many', { items }))
        .executions,
    async status(
      executionId: string,
      { includeOutputs, wait, scope, signal }: StatusOptions = {},
    ): Promise<ExecutionStatusBody> {
      const query = queryOf({
        execution_id: executionId,
        include: includeOutputs ? 'outputs' : undefined,
        wait,
        scope,
      });
      return (await send<ExecutionStatusBody>('GET', `/api/v1/execution/status${query}`, { signal })).body;
    },
    stop: (executionId: string, reason?: string) =>
      json<StopResult>('POST', '/api/v1/execution/stop', { execution_id: executionId, reason }),
    cancel: (executionId: string, reason?: string) =>
      json<StopResult>('POST', `/admin/executions/${encodeURIComponent(executionId)}/cancel`, { reason }),
    listExecutions: (filter: ExecutionFilter = {}) =>
      json<Page<ExecutionListItem>>('GET', `/admin/executions${queryOf({ ...filter })}`),
    /** Whether the invariants of the design hold. */
    examine: ({ everything, grace_seconds, accept = [] }: DoctorQuery = {}) =>
      json<DoctorReport>(
        'GET',
        `/admin/doctor${queryOf({ everything: everything ? 'true' : undefined, grace_seconds, accept: accept.join() || undefined })}`,
      ),
    /** Puts right what can be put right without a guess; answers what is left then. */
    repair: (query: DoctorQuery = {}) => json<DoctorReport>('POST', '/admin/doctor/repair', query),
  };
}

/** Executions in these states do not change any more. */
export function isFinal(status: ExecutionStatus): boolean {
  return status === 'completed' || status === 'failed' || status === 'cancelled' || status === 'timed_out';
}

interface Payload {
  /** Sent as JSON. */
  body?: unknown;
  /** Sent as it is. */
  text?: string;
  mediaType?: string;
  signal?: AbortSignal | undefined;
}

/** Nobody waits longer within one call; who is told to comes back by themselves. */
const LONGEST_WAIT_SECONDS = 30;

function createSend({ url, token, fetch: send = fetch, sleep = wait }: EngineClientOptions) {
  const base = url.replace(/\/+$/, '');
  const once = async (
    method: string,
    path: string,
    payload: Payload,
  ): Promise<{ status: number; body: unknown }> => {
    let response: Response;
    let text: string;
    try {
      response = await send(base + path, requestOf(method, payload, token));
      text = await response.text();
    } catch (error) {
      if (payload.signal?.aborted) throw error;
      throw new EngineUnreachable(base, reasonOf(error), error);
    }
    const body = parse(base, response, text);
    if (!response.ok) {
      const problem = body as ConstructorParameters<typeof EngineProblem>[1];
      throw new EngineProblem(response.status, problem, secondsOf(response.headers.get('retry-after')));
    }
    return { status: response.status, body };
  };
  return async <T>(method: string, path: string, payload: Payload): Promise<{ status: number; body: T }> => {
    try {
      return (await once(method, path, payload)) as { status: number; body: T };
    } catch (error) {
      const seconds = error instanceof EngineProblem && error.status === 429 ? error.retryAfterSeconds : null;
      if (seconds === null || seconds > LONGEST_WAIT_SECONDS) throw error;
      await sleep(seconds * 1_000, payload.signal);
    }
    return (await once(method, path, payload)) as { status: number; body: T };
  };
}

/** The engine sends whole seconds; a date says nothing here. */
function secondsOf(header: string | null): number | null {
  return header !== null && /^\d{1,9}$/.test(header) ? Number(header) : null;
}

/** Rejects with the signal's reason when it is aborted. */
function wait(ms: number, signal?: AbortSignal): Promise<void> {
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

/** Runtimes hide the system's reason in different places. */
function reasonOf(error: unknown): string {
  const { code, cause, message } = error as { code?: string; cause?: { code?: string }; message?: string };
  const reason = code ?? cause?.code ?? message ?? String(error);
  return /refused/i.test(reason) ? 'connection refused' : reason;
}

function requestOf(
  method: string,
  { body, text, mediaType, signal }: Payload,
  token: string | undefined,
): RequestInit {
  const content = text ?? (body === undefined ? undefined : JSON.stringify(body));
  const headers: Record<string, string> = { Accept: 'application/json' };
  if (token !== undefined && token !== '') headers.Authorization = `Bearer ${token}`;
  if (content !== undefined) headers['Content-Type'] = mediaType ?? 'application/json';
  return {
    method,
    headers,
    // A redirect would take the key to a place nobody named.
    redirect: 'manual',
    ...(content === undefined ? {} : { body: content }),
    ...(signal === undefined ? {} : { signal }),
  };
}

/** The JSON of an answer of the engine; anything else there is no engine. */
function parse(base: string, response: Response, text: string): unknown {
  if (response.status === 204) return undefined;
  const mediaType = response.headers.get('content-type')?.split(';')[0] ?? '';
  const expected = response.ok ? 'application/json' : 'application/problem+json';
  try {
    if (mediaType === expected) return JSON.parse(text);
  } catch (error) {
    throw new EngineUnreachable(base, 'the answer is cut short', error);
  }
  throw new EngineUnreachable(
    base,
    `what is there answers ${response.status} ${mediaType || 'without a media type'}`,
  );
}

function queryOf(values: Record<string, string | number | undefined>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(values))
    if (value !== undefined) search.set(name, String(value));
  return search.size === 0 ? '' : `?${search}`;
}
