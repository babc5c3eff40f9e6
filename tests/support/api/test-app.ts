/**
 * An application over in-memory services, for the tests of this folder and of the command line.
 */
import { createHash } from 'node:crypto';
import { type ApiLimits, type AppDependencies, createApp } from '../../../api/app.ts';
import { type ApiKey, createAuth } from '../../../api/auth.ts';
import type { Connection, RequestObservation } from '../../../api/context.ts';
import type { ProblemDocument } from '../../../api/errors.ts';
import { EngineError } from '../../../core/problem.ts';
import { createInMemoryPorts, type InMemoryPorts } from './in-memory-ports.ts';

export const LOOPBACK: Connection = { remoteAddress: '127.0.0.1' };

export interface TestApp {
  app: ReturnType<typeof createApp>;
  ports: InMemoryPorts;
  /** What was logged as an error. */
  logged: { fields: Record<string, unknown>; message: string }[];
  observed: RequestObservation[];
  send(method: string, path: string, body?: unknown, init?: RequestInit): Promise<Response>;
}

export const LIMITS: ApiLimits = {
  bodyBytes: 20_000,
  jsonDepth: 64,
  definitionBytes: 5_000,
  startMany: 1_000,
  intakeBytes: 100_000,
};

/** An application with small limits; give `keys` to have it ask for one. */
export function createTestApp(options: { keys?: ApiKey[]; deps?: Partial<AppDependencies> } = {}): TestApp {
  const ports = createInMemoryPorts();
  const logged: TestApp['logged'] = [];
  const observed: RequestObservation[] = [];
  const app = createApp({
    templates: ports.templates,
    executions: ports.executions,
    control: ports.control,
    explainer: ports.explainer,
    load: ports.load,
    doctor: ports.doctor,
    steps: ports.steps,
    migrations: {
      migrate: () => Promise.reject(new EngineError('execution_not_found', 'no executions here')),
    },
    forks: { fork: () => Promise.reject(new EngineError('execution_not_found', 'no forks here')) },
    inbox: { forms: async () => ({ data: [], next_cursor: null }) },
    hooks: { open: () => Promise.reject(new EngineError('hook_not_found', 'no hooks here')) },
    signals: ports.signals,
    tasks: ports.tasks,
    stats: { stats: () => Promise.reject(new EngineError('unavailable', 'no counters here')) },
    events: {
      log: async (_, { executionId }) => Promise.reject(new EngineError('execution_not_found', executionId)),
      stream: async (_, { executionId }) =>
        Promise.reject(new EngineError('execution_not_found', executionId)),
    },
    reading: {
      graph: async (_, name) => Promise.reject(new EngineError('template_not_found', name)),
      compare: async (_, { a }) => Promise.reject(new EngineError('execution_not_found', a)),
      state: async (_, { execution_id: id }) => Promise.reject(new EngineError('execution_not_found', id)),
    },
    health: {
      live: () => ({ status: 'ok', checks: {} }),
      ready: async () => ({ status: 'ok', checks: { database: { status: 'ok' } } }),
    },
    metrics: async () => '# HELP up Whether it is up.\n',
    auth: createAuth({ keys: options.keys ?? [] }),
    limits: LIMITS,
    definitionSchema: () => ({
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      type: 'object',
      properties: { steps: { additionalProperties: { $ref: '#/$defs/step' } } },
      $defs: { step: { type: 'object' } },
    }),
    log: { error: (fields, message) => logged.push({ fields: fields as Record<string, unknown>, message }) },
    version: '1.2.3',
    onRequest: (observation) => observed.push(observation),
    ...options.deps,
  });
  return {
    app,
    ports,
    logged,
    observed,
    async send(method, path, body, init = {}) {
      const headers = new Headers(init.headers);
      if (body !== undefined && !headers.has('content-type')) headers.set('content-type', 'application/json');
      const text = typeof body === 'string' || body === undefined ? body : JSON.stringify(body);
      const request: RequestInit = { method, ...init, headers };
      if (text !== undefined) request.body = text;
      return app.request(path, request, LOOPBACK);
    },
  };
}

export function keyOf(key: string, rest: Omit<ApiKey, 'hash'>): ApiKey {
  return { hash: createHash('sha256').update(key).digest('hex'), ...rest };
}

/** The problem of a response, which must be one with this status and code. */
export async function problemOf(response: Response, status: number, code: string): Promise<ProblemDocument> {
  const body = (await response.json()) as ProblemDocument;
  const found = {
    status: response.status,
    type: response.headers.get('content-type'),
    code: body.code,
    inBody: body.status,
  };
  const wanted = { status, type: 'application/problem+json', code, inBody: status };
  if (JSON.stringify(found) !== JSON.stringify(wanted)) {
    throw new Error(`expected ${JSON.stringify(wanted)}, found ${JSON.stringify(found)}: ${body.detail}`);
  }
  return body;
}
