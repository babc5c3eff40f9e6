/**
 * Requests and answers about single steps, in the field names of the API.
 */

import type { DryRun } from '../../core/control/dry-run.ts';
import type { Vote } from '../../core/forms/decisions.ts';
import type { Json, JsonObject } from '../../core/json/json.ts';
import type { StepStatus } from '../../core/status.ts';
import type { Caller } from '../caller.ts';
import type { StepErrorBody, StepStatusBody } from '../execution-answers.ts';

/** Fields of calls that end a step by hand. */
export interface ForceBody {
  /** Ends the step whatever it does, not only while it waits for an answer. */
  force?: boolean | undefined;
  /** Only with `force`. */
  dry_run?: boolean | undefined;
}

export interface CompleteBody extends ForceBody {
  output?: Json | undefined;
  /** Of a form: who answers. */
  user_id?: string | undefined;
  /** Of a form with a quorum. */
  decision?: Vote | undefined;
  comment?: string | undefined;
}

export interface FailBody extends ForceBody {
  /** May be left out for a form: it is rejected. */
  error?: { code: string; message: string; details?: Json | undefined } | undefined;
  retryable?: boolean | undefined;
  /** Of a form: who answers. */
  user_id?: string | undefined;
}

export interface StepBody extends StepStatusBody {
  execution_id: string;
  template: string;
  version: number;
  /** As its attempts get them; null: none yet, or they cannot be shown. */
  params: Json;
  outputs: Json;
  attempts: AttemptBody[];
}

export const ATTEMPT_OUTCOMES = [
  'completed',
  'failed',
  'timed_out',
  'cancelled',
  'lost',
  'given_back',
  'late',
] as const;
/**
 * `lost`: its process has died or was ended. `given_back`: by an engine that was stopping; it does not count as an attempt.
 * `late`: its step had lost a race before.
 */
export type AttemptOutcome = (typeof ATTEMPT_OUTCOMES)[number];

/** A line that a handler has logged. */
export interface LogLineBody {
  /** By the clock of the engine that ran it. */
  at: string;
  level: 'info' | 'warn' | 'error';
  message: string;
  fields: JsonObject;
}

export interface AttemptBody {
  attempt: number;
  /** Null: it goes on. */
  outcome: AttemptOutcome | null;
  started_at: string | null;
  ended_at: string | null;
  /** Id of the engine; null: not known. */
  engine: string | null;
  error: StepErrorBody | null;
  /** Of a late result, and of a completed attempt before a reset. */
  outputs?: Json;
  /** Of a conversation with a language model. */
  usage: UsageBody | null;
  /** Each answer of a language model, with its own usage. */
  turns: JsonObject[];
  /** What its handler has logged, kept when it ends or is parked. */
  logs: LogLineBody[];
}

/** Tokens of all turns together, as far as they were counted. */
export interface UsageBody {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
}

/** A step after an answer to it. */
export interface AnsweredStepBody {
  id: string;
  execution_id: string;
  key: string;
  status: StepStatus;
}

export interface StepServicePort {
  /** A StepBody as JSON, in pieces: its outputs are passed on as they are stored. */
  get(caller: Caller, stepId: string): Promise<readonly string[]>;
  complete(caller: Caller, stepId: string, body: CompleteBody): Promise<AnsweredStepBody | DryRun>;
  fail(caller: Caller, stepId: string, body: FailBody): Promise<AnsweredStepBody | DryRun>;
  /** Only by force. */
  skip(caller: Caller, stepId: string, body: ForceBody): Promise<AnsweredStepBody | DryRun>;
}
