/**
 * What the services answer, in the words of the API (snake_case is the wire format and is used as is).
 *
 * Times are ISO 8601 in UTC with milliseconds; ids are UUIDs in lower case.
 */
import type { Json, JsonObject } from '../core/json/json.ts';
import type { ExecutionStatus, StepStatus } from '../core/status.ts';
import type { DefinitionSource } from '../definition/source.ts';
import type { JsonPayload } from '../payload/json-payload.ts';

/** Who asks. An admin sees every workspace; a null workspace is a workspace of its own. */
export interface Caller {
  readonly workspaceId: string | null;
  readonly admin: boolean;
}

export interface StartItem {
  /** Exactly one of template (a name) and workflow_template_id. */
  template?: string | undefined;
  workflow_template_id?: string | undefined;
  version?: number | undefined;
  /** A value, or its text, which is stored as it is. */
  inputs?: Json | JsonPayload | undefined;
  idempotency_key?: string | undefined;
  /** ISO 8601 instant, or a duration from now (`5m`). */
  start_after?: string | number | undefined;
  priority?: number | undefined;
  tags?: string[] | undefined;
  callback_url?: string | undefined;
  user_id?: string | undefined;
  workspace_id?: string | undefined;
}

export interface StartResult {
  execution_id: string;
  status: ExecutionStatus;
  created: boolean;
}

/** `{ code, message, step }` of a failed execution; step is a key or null. */
export interface ExecutionErrorBody {
  code: string;
  message: string;
  step: string | null;
}

export interface StepErrorBody {
  code: string;
  message: string;
  details: Json;
}

export interface Progress {
  total: number;
  completed: number;
  failed: number;
  skipped: number;
  cancelled: number;
  running: number;
  waiting: number;
  queued: number;
}

export interface StepStatusBody {
  id: string;
  key: string;
  type: string;
  scope: string;
  depth: number;
  status: StepStatus;
  attempt_count: number;
  required_inputs: number;
  received_inputs: { key: string; live: boolean; route: string | null }[];
  error: StepErrorBody | null;
  created_at: string;
  started_at: string | null;
  completed_at: string | null;
  outputs?: Json;
}

export interface ExecutionStatusBody {
  execution_id: string;
  status: ExecutionStatus;
  stop_requested: boolean;
  template: string;
  version: number;
  inputs: Json;
  outputs: Json;
  error: ExecutionErrorBody | null;
  progress: Progress;
  steps: StepStatusBody[];
  created_at: string;
  started_at: string | null;
  completed_at: string | null;
}

export interface StopResult {
  execution_id: string;
  status: ExecutionStatus;
  stop_requested: boolean;
}

export interface PublishResult {
  workflow_template_id: string;
  name: string;
  version: number;
  steps: { id: string; key: string }[];
  warnings: ProblemBody[];
}

export interface ProblemBody {
  pointer: string;
  code: string;
  message: string;
}

export interface ValidateResult {
  valid: boolean;
  errors: ProblemBody[];
  warnings: ProblemBody[];
}

export interface TemplateSummary {
  workflow_template_id: string;
  name: string;
  version: number;
  description: string | null;
  created_at: string;
}

export interface TemplateBody extends TemplateSummary {
  definition: JsonObject;
  steps: { id: string; key: string; type: string }[];
  archived_at: string | null;
}

/** A page of any list; the cursor is opaque and null on the last page. */
export interface Page<T> {
  data: T[];
  next_cursor: string | null;
}

export interface ExecutionListItem {
  execution_id: string;
  status: ExecutionStatus;
  template: string;
  version: number;
  workspace_id: string | null;
  user_id: string | null;
  tags: string[];
  /** Null while the execution goes on. */
  error: ExecutionErrorBody | null;
  created_at: string;
  started_at: string | null;
  completed_at: string | null;
}

export interface ExecutionFilter {
  status?: ExecutionStatus | undefined;
  template?: string | undefined;
  workspace_id?: string | undefined;
  tag?: string | undefined;
  since?: string | undefined;
  until?: string | undefined;
  /** Part of an execution id, template name or tag. */
  q?: string | undefined;
  /** 1 to 500; default 50. */
  limit?: number | undefined;
  cursor?: string | undefined;
}

export interface TemplateServicePort {
  /** Publishes a definition. `created` is false when it equals the latest version. */
  publish(caller: Caller, source: DefinitionSource): Promise<{ created: boolean; result: PublishResult }>;
  validate(caller: Caller, source: DefinitionSource): Promise<ValidateResult>;
  get(caller: Caller, name: string, version?: number): Promise<TemplateBody>;
  list(
    caller: Caller,
    page: { limit?: number | undefined; cursor?: string | undefined },
  ): Promise<Page<TemplateSummary>>;
  /** Archives every version: running executions go on, a start answers 404. */
  archive(caller: Caller, name: string): Promise<void>;
}

export interface StatusOptions {
  includeOutputs: boolean;
  /** Milliseconds to wait for the end; 0: answer at once. */
  waitMs: number;
  scope?: string | undefined;
  signal?: AbortSignal | undefined;
}

export interface ExecutionServicePort {
  start(caller: Caller, item: StartItem): Promise<StartResult>;
  /** All or nothing. */
  startMany(caller: Caller, items: StartItem[]): Promise<StartResult[]>;
  /** With waitMs > 0 answers when the execution is final or the time is over, holding no connection meanwhile. */
  status(caller: Caller, executionId: string, options: StatusOptions): Promise<ExecutionStatusBody>;
  stop(caller: Caller, executionId: string, reason: string | null): Promise<StopResult>;
  cancel(caller: Caller, executionId: string, reason: string | null): Promise<StopResult>;
  list(caller: Caller, filter: ExecutionFilter): Promise<Page<ExecutionListItem>>;
}

export interface HealthReport {
  status: 'ok' | 'unavailable';
  checks: Record<string, { status: 'ok' | 'fail'; message?: string }>;
  /** What does not keep the engine from serving and should be mended all the same; one sentence each. */
  warnings?: string[];
}
