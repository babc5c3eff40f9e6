/**
 * The engine's HTTP API as typed calls, on the platform's `fetch` alone.
 *
 * Only a call that is answered 429 is repeated here. The caller may send a start with an idempotency key again.
 *
 * Invariant 1: a call resolves with a value of its type, or throws EngineProblem (the engine refused) or
 * EngineUnreachable (no engine answered). Only an AbortSignal of the caller adds a third end.
 */
import type { ExecutionStatus } from '../core/status.ts';
import type {
  ExecutionFilter,
  ExecutionStatusBody,
  ScopeQuery,
  StartItem,
} from '../services/execution-answers.ts';
import type { ExplainQuery } from '../services/explain/answers.ts';
import type { PublishResult } from '../services/template-answers.ts';
import * as answer from './answer.ts';
import { controlCalls } from './control-calls.ts';
import { eventLog } from './event-answers.ts';
import { createEventStream } from './event-stream.ts';
import { explained, queues, workers } from './load-answers.ts';
import { queryOf } from './query.ts';
import { readingCalls } from './reading-calls.ts';
import { createSend, type EngineClientOptions, type Payload } from './send.ts';
import { waitCalls } from './wait-calls.ts';

export type { DryRun } from '../core/control/dry-run.ts';
export type { ExecutionStatus, StepStatus } from '../core/status.ts';
export type { DoctorReport } from '../services/doctor/report.ts';
export type {
  ExecutionFilter,
  ExecutionListItem,
  ExecutionStatusBody,
  StartItem,
  StartResult,
  StepStatusBody,
  StopResult,
} from '../services/execution-answers.ts';
export type { ExplainBody, ExplainQuery } from '../services/explain/answers.ts';
export type { FormItem } from '../services/forms/inbox-answers.ts';
export type { EventBody } from '../services/history/event-answers.ts';
export type { QueuesBody, WorkerBody } from '../services/load/load-answers.ts';
export type { Page } from '../services/page.ts';
export type { CompareBody } from '../services/reading/compare-answers.ts';
export type { GraphBody, StateBody } from '../services/reading/reading-answers.ts';
export type { StatsBody } from '../services/stats/stats-answers.ts';
export type { AttemptBody, StepBody } from '../services/steps/answers.ts';
export type { TaskBody } from '../services/tasks/task-answers.ts';
export type {
  ProblemBody,
  PublishResult,
  TemplateBody,
  TemplateSummary,
  ValidateResult,
} from '../services/template-answers.ts';
export { EngineProblem, EngineUnreachable } from './failure.ts';
export type { EngineClientOptions } from './send.ts';

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

export interface EventLogQuery {
  execution_id: string;
  scope?: string | undefined;
  /** Ids of events, which are left out themselves. */
  after?: string | undefined;
  before?: string | undefined;
  limit?: number | undefined;
}

export interface PageOptions {
  limit?: number | undefined;
  cursor?: string | undefined;
}

export interface DoctorQuery {
  /** Also final executions that are older than an hour, and every execution as a whole. */
  everything?: boolean | undefined;
  /** Seconds for which a fault must have lasted; default: each invariant has its own time. */
  grace_seconds?: number | undefined;
  /** Names of invariants that may be broken here. */
  accept?: string[] | undefined;
}

export type EngineClient = ReturnType<typeof createEngineClient>;

/** A client of one engine. It holds no connection. Throws TypeError when the url cannot be the address of an engine. */
export function createEngineClient(options: EngineClientOptions) {
  const send = createSend(options);
  const events = createEventStream(options);
  const call = async <T>(method: string, path: string, check: answer.Check<T>, payload?: Payload) =>
    (await send(method, path, check, payload)).body;
  return {
    /** Publishes a definition; `created` is false when it equals the latest version. */
    async publish(
      definition: string,
      mediaType: DefinitionMediaType,
    ): Promise<PublishResult & { created: boolean }> {
      const payload = { text: definition, mediaType };
      const { status, body } = await send('POST', '/api/v1/templates', answer.published, payload);
      return { ...body, created: status === 201 };
    },
    validate: (definition: string, mediaType: DefinitionMediaType) =>
      call('POST', '/api/v1/templates/validate', answer.validated, { text: definition, mediaType }),
    getTemplate: (name: string, version?: number) =>
      call('GET', `${templatePath(name)}${queryOf({ version })}`, answer.template),
    listTemplates: (page: PageOptions = {}) =>
      call('GET', `/api/v1/templates${queryOf({ ...page })}`, answer.templates),
    archiveTemplate: (name: string) => call<void>('DELETE', templatePath(name), answer.nothing),
    start: (item: StartItem) => call('POST', '/api/v1/execution/start', answer.started, { body: item }),
    startMany: async (items: StartItem[]) =>
      (await call('POST', '/api/v1/execution/start-many', answer.startedMany, { body: { items } }))
        .executions,
    status(executionId: string, options: StatusOptions = {}): Promise<ExecutionStatusBody> {
      const { includeOutputs, wait, scope, signal } = options;
      const include = includeOutputs ? 'outputs' : undefined;
      const query = queryOf({ execution_id: executionId, include, wait, scope });
      return call('GET', `/api/v1/execution/status${query}`, answer.execution, { signal });
    },
    /** Explains why an execution, and each step of it, is not final. */
    explain: ({ history, ...query }: ExplainQuery) =>
      call(
        'GET',
        `/api/v1/execution/explain${queryOf({ ...query, history: history ? 'true' : undefined })}`,
        explained,
      ),
    /** How much work is ready, and for how long. */
    queues: () => call('GET', '/admin/queues', queues),
    /** Lists the engines with their load. */
    listWorkers: (page: PageOptions = {}) => call('GET', `/admin/workers${queryOf({ ...page })}`, workers),
    /** Lists the opened scopes of a step, such as the items of a foreach. */
    listScopes: (query: ScopeQuery) =>
      call('GET', `/api/v1/execution/scopes${queryOf({ ...query })}`, answer.scopes),
    /**
     * Follows an execution: all events so far, and those that come, for as long as they are read. It connects again by itself,
     * and goes on after the last event.
     */
    events,
    /** Lists what has happened to an execution. */
    eventLog: (query: EventLogQuery) =>
      call('GET', `/api/v1/execution/event-log${queryOf({ ...query })}`, eventLog),
    stop: (executionId: string, reason?: string) =>
      call('POST', '/api/v1/execution/stop', answer.stopped, { body: { execution_id: executionId, reason } }),
    cancel: (executionId: string, reason?: string) =>
      call('POST', `/admin/executions/${encodeURIComponent(executionId)}/cancel`, answer.stopped, {
        body: { reason },
      }),
    listExecutions: (filter: ExecutionFilter = {}) =>
      call('GET', `/admin/executions${queryOf({ ...filter })}`, answer.executions),
    ...readingCalls(call),
    ...waitCalls(call),
    ...controlCalls(call),
    /** Checks the invariants of the engine. */
    examine: ({ everything, grace_seconds, accept = [] }: DoctorQuery = {}) =>
      call(
        'GET',
        `/admin/doctor${queryOf({ everything: everything ? 'true' : undefined, grace_seconds, accept: accept.join() || undefined })}`,
        answer.report,
      ),
    /** Repairs the findings that can be repaired without a guess; returns the remaining ones. */
    repair: (query: DoctorQuery = {}) => call('POST', '/admin/doctor/repair', answer.report, { body: query }),
  };
}

/** Executions in these states do not change any more. */
export function isFinal(status: ExecutionStatus): boolean {
  return status === 'completed' || status === 'failed' || status === 'cancelled' || status === 'timed_out';
}

function templatePath(name: string): string {
  return `/api/v1/templates/${encodeURIComponent(name)}`;
}
