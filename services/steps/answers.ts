/**
 * Requests and answers about single steps, in the field names of the API.
 */
import type { Json } from '../../core/json/json.ts';
import type { StepStatus } from '../../core/status.ts';
import type { Caller } from '../caller.ts';
import type { StepStatusBody } from '../execution-answers.ts';

export interface CompleteBody {
  output?: Json | undefined;
}

export interface FailBody {
  error: { code: string; message: string; details?: Json | undefined };
  retryable?: boolean | undefined;
}

export interface StepBody extends StepStatusBody {
  execution_id: string;
  template: string;
  version: number;
  outputs: Json;
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
