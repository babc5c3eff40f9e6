/**
 * Requests and answers about tasks, in the field names of the API.
 */
import type { Json } from '../../core/json/json.ts';
import type { Caller } from '../caller.ts';
import type { AnsweredStepBody } from '../steps/answers.ts';

export interface ClaimBody {
  queue: string;
  worker: string;
  /** 1 to 100; default 1. */
  max?: number | undefined;
}

export interface FailTaskBody {
  error: { code: string; message: string; details?: Json | undefined };
  retryable?: boolean | undefined;
}

export interface TaskBody {
  id: string;
  token: string;
  input: Json;
  attempt: number;
  idempotency_key: string;
  lease_seconds: number;
}

export interface TaskServicePort {
  /** Answers when there are tasks, or the time is over; holds no connection meanwhile. The tasks as JSON. */
  claim(caller: Caller, body: ClaimBody, waitMs: number, signal: AbortSignal): Promise<readonly string[]>;
  heartbeat(caller: Caller, stepId: string, token: string): Promise<{ id: string; lease_seconds: number }>;
  complete(
    caller: Caller,
    stepId: string,
    token: string,
    output: Json | undefined,
  ): Promise<AnsweredStepBody>;
  fail(caller: Caller, stepId: string, token: string, body: FailTaskBody): Promise<AnsweredStepBody>;
}
