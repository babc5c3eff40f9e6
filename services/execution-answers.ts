/**
 * Requests and answers about executions, in the field names of the API.
 */
import type { Json } from '../core/json/json.ts';
import type { ScopeStatus } from '../core/scopes/scope-status.ts';
import type { ExecutionStatus, StepStatus } from '../core/status.ts';
import type { JsonPayload } from '../payload/json-payload.ts';
import type { Caller } from './caller.ts';
import type { Page } from './page.ts';

export interface StartItem {
  /** Exactly one of template (a name) and workflow_template_id. */
  template?: string | undefined;
  workflow_template_id?: string | undefined;
  version?: number | undefined;
  /** A value, or its text, which is stored unchanged. */
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

/** Numbers of the scopes of a step. They add up to `total`; `waiting` are those that were not opened yet. */
export interface ScopeNumbers {
  total: number;
  completed: number;
  failed: number;
  running: number;
  waiting: number;
  cancelled: number;
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
  /** Time at which a waiting or retrying step resumes; null: no timer. */
  resume_at: string | null;
  /** What a waiting or retrying step waits for, with its `kind`; null for any other. */
  waiting_for: WaitBody | null;
  /** In a fork: the step of the source of which it has the result. */
  reused_from?: string | undefined;
  /** Who ended it by hand; null: nobody did. */
  by_hand?: ByHandBody | null;
  /** Of a step that holds scopes. */
  scopes?: ScopeNumbers;
  /** The step that undoes it, as far as it has come; null: nothing has been undone. */
  compensation?: CompensationBody | null;
  /** Of steps that start child executions: the first 100, in the order of the attempts. */
  children?: ChildBody[];
  outputs?: Json;
}

export interface ByHandBody {
  act: 'complete' | 'fail' | 'skip' | 'retry';
  by: string | null;
  at: string;
}

export interface CompensationBody {
  id: string;
  status: StepStatus;
  attempt_count: number;
  error: StepErrorBody | null;
  completed_at: string | null;
}

export interface ChildBody {
  execution_id: string;
  status: ExecutionStatus;
}

/** The step that started a child execution. */
export interface ParentBody {
  execution_id: string;
  step_id: string;
}

export interface ScopeBody {
  scope: string;
  index: number;
  /** Of a scope that starts a child execution: the latest one; null: it has none yet. */
  execution_id?: string | null | undefined;
  status: ScopeStatus;
  /** The step in it that has been parked longest; null: none is. */
  waits?: ScopeWaitBody | null | undefined;
  error: ExecutionErrorBody | null;
  started_at: string;
  completed_at: string | null;
}

export interface ScopeWaitBody {
  /** Its key. */
  step: string;
  status: StepStatus;
  waiting_for: WaitBody | null;
  resume_at: string | null;
}

export interface ScopeQuery {
  execution_id: string;
  /** A path: `each`, or `each[3]/inner`. */
  step: string;
  status?: ScopeStatus | undefined;
  /** 1 to 500; default 50. */
  limit?: number | undefined;
  cursor?: string | undefined;
}

export interface WaitBody {
  kind: string;
  [field: string]: Json;
}

export interface ExecutionStatusBody {
  execution_id: string;
  status: ExecutionStatus;
  stop_requested: boolean;
  /** Of a paused execution: the parent with which it was paused; null: it was paused by itself, or is not. */
  paused_by: string | null;
  template: string;
  version: number;
  inputs: Json;
  outputs: Json;
  error: ExecutionErrorBody | null;
  progress: Progress;
  /** Paths of steps with a compensation that had begun and gave no result: whether they are to be undone is not known. */
  uncertain: string[];
  /** Paths of steps that completed and whose compensation failed, was cut off, or never began; while it compensates, only the first two. */
  not_undone: string[];
  steps: StepStatusBody[];
  /** Null: no step has started it. */
  parent: ParentBody | null;
  /** The execution at the top of its tree; its own id when that is itself. */
  root_execution_id: string;
  /** The execution that it is a fork of, which may be deleted; null: it is none. */
  forked_from: string | null;
  created_at: string;
  started_at: string | null;
  completed_at: string | null;
  /** Of its last retry, from which on its timeout counts; null: it had none. */
  resumed_at?: string | null;
  /** Time at which a delayed pending execution begins; null: it was not delayed. */
  resume_at: string | null;
}

/** The answer of `status`. */
export interface StatusAnswer {
  readonly status: ExecutionStatus;
  /** An ExecutionStatusBody as JSON, in pieces: payloads are passed on as they are stored. */
  readonly json: readonly string[];
}

export interface StopResult {
  execution_id: string;
  status: ExecutionStatus;
  stop_requested: boolean;
}

export interface ExecutionListItem {
  execution_id: string;
  status: ExecutionStatus;
  template: string;
  version: number;
  workspace_id: string | null;
  user_id: string | null;
  tags: string[];
  /** Null until the execution has ended. */
  error: ExecutionErrorBody | null;
  created_at: string;
  started_at: string | null;
  completed_at: string | null;
  parent: ParentBody | null;
  root_execution_id: string;
  /** The execution that it is a fork of, which may be deleted; null: it is none. */
  forked_from: string | null;
}

export interface ExecutionFilter {
  status?: ExecutionStatus | undefined;
  template?: string | undefined;
  workspace_id?: string | undefined;
  tag?: string | undefined;
  since?: string | undefined;
  until?: string | undefined;
  /** An id, idempotency key, tag, template or error code, or a part of one. */
  q?: string | undefined;
  /** The newest first, or the one that ran longest; default `created_at`. */
  sort?: 'created_at' | 'duration' | undefined;
  /** Children of this execution. */
  parent?: string | undefined;
  /** This execution and all below it. Without parent and root: only executions that no step has started. */
  root?: string | undefined;
  /** 1 to 500; default 50. */
  limit?: number | undefined;
  cursor?: string | undefined;
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
  /** Starts all items or none. */
  startMany(caller: Caller, items: StartItem[]): Promise<StartResult[]>;
  /** With waitMs > 0 answers when the execution is final or the time is over; holds no connection meanwhile. */
  status(caller: Caller, executionId: string, options: StatusOptions): Promise<StatusAnswer>;
  stop(caller: Caller, executionId: string, reason: string | null): Promise<StopResult>;
  cancel(caller: Caller, executionId: string, reason: string | null): Promise<StopResult>;
  list(caller: Caller, filter: ExecutionFilter): Promise<Page<ExecutionListItem>>;
  /** The opened scopes of a step. */
  scopes(caller: Caller, query: ScopeQuery): Promise<Page<ScopeBody>>;
}
