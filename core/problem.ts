/**
 * A fault of a definition or a request, as data.
 *
 * A problem names the place (JSON pointer, RFC 6901), a stable code and a sentence that says how to fix it.
 */
import type { ProblemCode } from './problem-code.ts';

export interface Problem {
  /** RFC 6901 pointer into the document that was checked; '' is the whole document. */
  pointer: string;
  code: ProblemCode;
  /** One sentence: what was found, what is allowed, what to do. */
  message: string;
}

/** Returns one segment of a JSON pointer, escaped according to RFC 6901 section 3. */
export function pointerSegment(key: string | number): string {
  return `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

/** The closed list of errors for callers. api/ maps each to its HTTP status. */
export const ERROR_STATUS = {
  malformed_json: 400,
  malformed_yaml: 400,
  invalid_request: 400,
  unauthorized: 401,
  invalid_signature: 401,
  forbidden: 403,
  not_found: 404,
  execution_not_found: 404,
  scope_not_found: 404,
  step_not_found: 404,
  incident_not_found: 404,
  template_not_found: 404,
  hook_not_found: 404,
  method_not_allowed: 405,
  request_timeout: 408,
  conflict: 409,
  idempotency_conflict: 409,
  wrong_state: 409,
  not_compensated: 409,
  paused_by_parent: 409,
  cannot_migrate: 409,
  join_would_starve: 409,
  already_used: 409,
  already_decided: 409,
  not_waiting: 409,
  parent_step_final: 409,
  force_required: 409,
  too_many_signals: 409,
  task_claimed: 409,
  task_over: 409,
  stale_token: 409,
  body_too_large: 413,
  unsupported_media_type: 415,
  validation_failed: 422,
  filter_required: 422,
  invalid_definition: 422,
  invalid_inputs: 422,
  idempotency_mismatch: 422,
  outputs_too_large: 422,
  not_comparable: 422,
  not_storable: 422,
  number_not_exact: 422,
  too_many_requests: 429,
  internal: 500,
  unavailable: 503,
} as const;
export type ErrorCode = keyof typeof ERROR_STATUS;

/**
 * The one error class that crosses the service boundary. `message` names the fault, the place, the value found, the
 * values allowed and the next step.
 */
export class EngineError extends Error {
  readonly code: ErrorCode;
  readonly problems: readonly Problem[];
  /** Seconds after which the request may be retried, where known. */
  readonly retryAfterSeconds: number | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    problems: readonly Problem[] = [],
    cause?: unknown,
    retryAfterSeconds?: number,
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'EngineError';
    this.code = code;
    this.problems = problems;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}
