/**
 * Every error answer: RFC 9457 `application/problem+json`.
 *
 * Not here: which errors exist (core/problem.ts has the closed list and the status of each) and how a request
 * is checked (request-check.ts).
 *
 * Invariant 1: of an unexpected error only the request id reaches the caller; the log has the rest, once.
 * Invariant 2: `code` is stable, `type` and `title` follow from it.
 */
import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { EngineError, ERROR_STATUS, type ErrorCode, type Problem } from '../core/problem.ts';
import { isUnavailable } from '../db/connection/session.ts';
import type { ApiEnv, ApiLog } from './context.ts';

export const PROBLEM_MEDIA_TYPE = 'application/problem+json';

/** How long a client should wait before it tries again, when no better time is known. */
const RETRY_AFTER_SECONDS = 1;

export const ProblemShape = z
  .object({
    type: z.string().openapi({ description: 'A URI that stands for the code.' }),
    title: z.string(),
    status: z.int(),
    detail: z.string().openapi({ description: 'What was found, what is allowed, what to do.' }),
    code: z.enum(Object.keys(ERROR_STATUS) as [ErrorCode, ...ErrorCode[]]),
    request_id: z.string(),
    errors: z
      .array(z.object({ pointer: z.string(), code: z.string(), message: z.string() }))
      .optional()
      .openapi({ description: 'One entry per thing that is wrong, with an RFC 6901 pointer to its place.' }),
  })
  .openapi('Problem');
export type ProblemDocument = z.infer<typeof ProblemShape>;

/** The handler for every error that a route throws. */
export function answerError(log: ApiLog): (error: Error, c: Context<ApiEnv>) => Response {
  return (error, c) => {
    if (c.req.raw.signal.aborted) return new Response(null, { status: 499 });
    const known = error instanceof EngineError ? error : unavailable(error);
    if (known === null || ERROR_STATUS[known.code] >= 500) logFailure(log, error, c);
    if (known !== null) {
      return problemResponse(c, known.code, known.message, known.problems, known.retryAfterSeconds);
    }
    const detail = `The engine met an unexpected error; its log has the cause under request id ${c.get('requestId')}.`;
    return problemResponse(c, 'internal', detail);
  };
}

/** A database that cannot be used now is not an error of the engine, and not a secret. */
function unavailable(error: Error): EngineError | null {
  if (!isUnavailable(error)) return null;
  return new EngineError('unavailable', 'The database cannot be used at present; try again.', [], error);
}

function logFailure(log: ApiLog, error: Error, c: Context<ApiEnv>): void {
  const fields = { err: error, request_id: c.get('requestId'), method: c.req.method, route: c.get('route') };
  log.error(fields, `request failed: ${error.message}`);
}

/** A problem document as a response, with the headers its status asks for. */
export function problemResponse(
  c: Context<ApiEnv>,
  code: ErrorCode,
  detail: string,
  problems: readonly Problem[] = [],
  retryAfterSeconds = RETRY_AFTER_SECONDS,
): Response {
  const status = ERROR_STATUS[code];
  if (status === 401) c.header('WWW-Authenticate', 'Bearer realm="execution-engine"');
  if (status === 429 || status === 503) c.header('Retry-After', String(retryAfterSeconds));
  // The rest of the request may still come, and would not be read.
  if (status === 408) c.header('Connection', 'close');
  const body = JSON.stringify(problemDocument(code, detail, problems, c.get('requestId')));
  return c.body(body, status as ContentfulStatusCode, { 'Content-Type': PROBLEM_MEDIA_TYPE });
}

/** The body of a problem response. */
export function problemDocument(
  code: ErrorCode,
  detail: string,
  problems: readonly Problem[],
  requestId: string,
): ProblemDocument {
  return {
    type: `urn:execution-engine:problem:${code}`,
    title: titleOf(code),
    status: ERROR_STATUS[code],
    detail,
    code,
    request_id: requestId,
    ...(problems.length > 0 ? { errors: [...problems] } : {}),
  };
}

/** `execution_not_found` -> `Execution not found`. */
function titleOf(code: ErrorCode): string {
  const words = code.replaceAll('_', ' ');
  return words[0]!.toUpperCase() + words.slice(1);
}
