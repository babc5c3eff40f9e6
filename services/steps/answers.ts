/**
 * Requests and answers about single steps, in the field names of the API.
 */
import type { Vote } from '../../core/forms/decisions.ts';
import type { Json, JsonObject } from '../../core/json/json.ts';
import type { StepStatus } from '../../core/status.ts';
import type { Caller } from '../caller.ts';
import type { StepErrorBody, StepStatusBody } from '../execution-answers.ts';

export interface CompleteBody {
  output?: Json | undefined;
  /** Of a form: who answers. */
  user_id?: string | undefined;
  /** Of a form with a quorum. */
  decision?: Vote | undefined;
  comment?: string | undefined;
}

export interface FailBody {
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
  outputs: Json;
  attempts: AttemptBody[];
}

export const ATTEMPT_OUTCOMES = ['completed', 'failed', 'cancelled', 'late'] as const;
/** `late`: its step had lost a race before. */
export type AttemptOutcome = (typeof ATTEMPT_OUTCOMES)[number];

/** An attempt of a step: its last one, or one of which more is kept than its number. */
export interface AttemptBody {
  attempt: number;
  /** Null: it goes on, or is not known. */
  outcome: AttemptOutcome | null;
  started_at: string | null;
  ended_at: string | null;
  /** Id of the engine; null: not known. */
  engine: string | null;
  error: StepErrorBody | null;
  /** Of a late result. */
  outputs?: Json;
  /** Of a conversation with a language model. */
  usage: UsageBody | null;
  /** Each answer of a language model, with its own usage. */
  turns: JsonObject[];
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
  complete(caller: Caller, stepId: string, body: CompleteBody): Promise<AnsweredStepBody>;
  fail(caller: Caller, stepId: string, body: FailBody): Promise<AnsweredStepBody>;
}
