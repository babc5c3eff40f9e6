/**
 * The HTTP API as one application: the middleware of every request, and the calls of this release.
 *
 * Not here: the socket (server.ts) and everything a call does (services/).
 *
 * Invariant 1: a call that is not mounted here is unknown: 404, and absent from the OpenAPI document.
 */
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Context, MiddlewareHandler } from 'hono';
import { requestId } from 'hono/request-id';
import { secureHeaders } from 'hono/secure-headers';
import { EngineError } from '../core/problem.ts';
import type { ForkPort } from '../services/control/fork-answers.ts';
import type { MigratePort } from '../services/control/migrate-answers.ts';
import type { DoctorPort } from '../services/doctor/report.ts';
import type { ExecutionServicePort } from '../services/execution-answers.ts';
import type { ExplainPort } from '../services/explain/answers.ts';
import type { InboxPort } from '../services/forms/inbox-answers.ts';
import type { EventPort } from '../services/history/event-answers.ts';
import type { HookPort } from '../services/hooks/hook-service.ts';
import type { LoadPort } from '../services/load/load-answers.ts';
import type { ReadingPort } from '../services/reading/reading-answers.ts';
import type { SignalServicePort } from '../services/signal-answers.ts';
import type { StatsPort } from '../services/stats/stats-answers.ts';
import type { StepServicePort } from '../services/steps/answers.ts';
import type { TaskServicePort } from '../services/tasks/task-answers.ts';
import type { TemplateServicePort } from '../services/template-port.ts';
import { addAdminRoutes } from './admin.ts';
import type { AuthPolicy } from './auth.ts';
import type { BodyLimits } from './body.ts';
import { compressJson } from './compress.ts';
import type { ApiEnv, ApiLog, RequestObservation } from './context.ts';
import { addForkRoute } from './control/fork.ts';
import { addControlRoutes, type ControlPorts } from './control/index.ts';
import { addMigrateRoute } from './control/migrate.ts';
import { addDoctorRoutes } from './doctor.ts';
import { answerError } from './errors.ts';
import { addExplainRoute } from './execution/explain.ts';
import { addExecutionRoutes, type StartReader } from './execution/index.ts';
import { addSignalRoute } from './execution/signal.ts';
import { addFormRoutes } from './form/index.ts';
import { addHistoryRoutes } from './history/index.ts';
import { addHookRoutes } from './hook/index.ts';
import { Intake } from './intake.ts';
import { addLoadRoutes } from './load.ts';
import { addOperationRoutes, type HealthPort } from './operations.ts';
import { addReadingRoutes } from './reading/index.ts';
import { addStatsRoute } from './reading/stats.ts';
import { addReferenceRoutes } from './reference/index.ts';
import { createRouter, credentialsOf } from './route.ts';
import { addStepRoutes } from './step/index.ts';
import { addTaskRoutes } from './task/index.ts';
import { addTemplateRoutes } from './template/index.ts';

export interface ApiLimits {
  /** Most bytes of a request body. */
  bodyBytes: number;
  /** Most levels of nesting in a JSON value. */
  jsonDepth: number;
  /** Most bytes of a definition. */
  definitionBytes: number;
  /** Most items of one start-many. */
  startMany: number;
  /** Most bytes of all bodies that are in work at a time. */
  intakeBytes: number;
  /** How long a body may take to arrive, besides the time for its size; see body.ts. */
  bodyGraceMs?: number | undefined;
}

export interface AppDependencies {
  /** A worker answers health and metrics only; default all. */
  surface?: 'all' | 'operations' | undefined;
  templates: TemplateServicePort;
  executions: ExecutionServicePort;
  explainer: ExplainPort;
  load: LoadPort;
  forks: ForkPort;
  control: ControlPorts;
  migrations: MigratePort;
  steps: StepServicePort;
  hooks: HookPort;
  signals: SignalServicePort;
  inbox: InboxPort;
  tasks: TaskServicePort;
  reading: ReadingPort;
  stats: StatsPort;
  events: EventPort;
  doctor: DoctorPort;
  /** Reads large bodies of starts beside the event loop. */
  starts?: StartReader | undefined;
  health: HealthPort;
  /** The metrics in the Prometheus text format. */
  metrics: () => Promise<string>;
  auth: AuthPolicy;
  limits: ApiLimits;
  /** JSON Schema of a workflow definition. */
  definitionSchema: () => object;
  log: ApiLog;
  version: string;
  /** Told of every request that was refused because too many bytes were in work. */
  onIntakeRefused?: (() => void) | undefined;
  /** Told of every answered request. */
  onRequest?: ((observation: RequestObservation) => void) | undefined;
}

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/**
 * The application. Its `fetch` takes a request and a Connection; a request without the address of its sender is
 * refused while no key is configured.
 */
export function createApp(deps: AppDependencies): OpenAPIHono<ApiEnv> {
  const intake = new Intake({ maxBytes: deps.limits.intakeBytes, onRefused: () => deps.onIntakeRefused?.() });
  const router = createRouter(deps.auth, intake);
  const { app } = router;
  app.onError(answerError(deps.log));
  app.use(
    requestId({ limitLength: 128 }),
    observe(deps.onRequest),
    compressJson,
    protect(),
    refuseUnreadable,
    guard(deps.auth),
  );
  const { bodyBytes, definitionBytes, jsonDepth, startMany, bodyGraceMs } = deps.limits;
  const limits: BodyLimits = {
    maxBytes: bodyBytes,
    setting: 'EXECUTION_ENGINE_MAX_BODY_BYTES',
    maxDepth: jsonDepth,
    graceMs: bodyGraceMs,
  };
  const ofDefinitions: BodyLimits = {
    ...limits,
    maxBytes: definitionBytes,
    setting: 'EXECUTION_ENGINE_MAX_DEFINITION_BYTES',
  };
  addOperationRoutes(router, deps.health, deps.metrics);
  if (deps.surface === 'operations') return app;
  addExecutionRoutes(router, {
    executions: deps.executions,
    dryRuns: deps.control.pauses,
    limits,
    startMany,
    starts: deps.starts,
  });
  addForkRoute(router, deps.forks, limits);
  addControlRoutes(router, deps.control, limits);
  addExplainRoute(router, deps.explainer);
  addMigrateRoute(router, deps.migrations, limits);
  addTaskRoutes(router, { tasks: deps.tasks, limits });
  addSignalRoute(router, deps.signals, limits);
  addStepRoutes(router, { steps: deps.steps, limits });
  addFormRoutes(router, { inbox: deps.inbox });
  addHookRoutes(router, { hooks: deps.hooks, limits });
  addTemplateRoutes(router, {
    templates: deps.templates,
    limits: definitionBytes < bodyBytes ? ofDefinitions : limits,
  });
  addReadingRoutes(router, { reading: deps.reading });
  addStatsRoute(router, { stats: deps.stats });
  addHistoryRoutes(router, deps.events);
  addAdminRoutes(router, { executions: deps.executions, dryRuns: deps.control.pauses, limits });
  addLoadRoutes(router, deps.load);
  addDoctorRoutes(router, { doctor: deps.doctor, limits });
  addReferenceRoutes(router, { version: deps.version, definitionSchema: deps.definitionSchema });
  return app;
}

/** Headers that keep browsers from guessing, framing and caching answers of the API. */
function protect(): MiddlewareHandler<ApiEnv> {
  const headers = secureHeaders({
    contentSecurityPolicy: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
    // The proxy that terminates TLS in front of the engine decides for how long.
    strictTransportSecurity: false,
  });
  return async (c, next) => {
    let policy: string | undefined;
    await headers(c, async () => {
      await next();
      policy = c.res.headers.get('Content-Security-Policy') ?? undefined;
    });
    if (policy !== undefined) c.header('Content-Security-Policy', policy);
    if (!c.res.headers.has('Cache-Control')) c.header('Cache-Control', 'no-store');
  };
}

const refuseUnreadable: MiddlewareHandler<ApiEnv> = async (c, next) => {
  const reason = c.env?.unreadable;
  if (reason !== undefined) throw new EngineError('invalid_request', reason);
  await next();
};

function guard(auth: AuthPolicy): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    auth.guard(credentialsOf(c));
    await next();
  };
}

function observe(onRequest: AppDependencies['onRequest']): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const startedAt = performance.now();
    await next();
    onRequest?.(observationOf(c, (performance.now() - startedAt) / 1_000));
  };
}

function observationOf(c: Context<ApiEnv>, seconds: number): RequestObservation {
  const method = METHODS.has(c.req.method) ? c.req.method : 'OTHER';
  return { route: c.get('route') ?? 'unmatched', method, status: c.res.status, seconds };
}
