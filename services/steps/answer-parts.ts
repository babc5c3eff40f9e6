/**
 * Parts of which answers about steps are made, as JSON text: what is stored as JSON is passed on without being parsed.
 */
import type { StepDetail } from '../../db/execution-queries.ts';

/** Returns an object as JSON, without its end. */
export function opened(body: object): string {
  return JSON.stringify(body).slice(0, -1);
}

/** Returns the error of a step as JSON; its details are not parsed, and may be large. */
export function stepError({
  errorCode,
  error,
  errorDetails,
}: Pick<StepDetail, 'errorCode' | 'error' | 'errorDetails'>): string {
  if (errorCode === null) return 'null';
  return `${opened({ code: errorCode, message: error ?? '' })},"details":${errorDetails ?? 'null'}}`;
}

export function isoTime(time: Date | null): string | null {
  return time === null ? null : time.toISOString();
}
