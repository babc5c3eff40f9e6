/**
 * The failure for a status that is no success: whether it is tried again, when, and the part of the answer that it shows.
 */
import type { JsonObject } from '../../core/json/json.ts';
import { CUT_MARK } from '../../core/text/cut.ts';
import { StepFailure } from '../step-type.ts';
import { decodeBody } from './body.ts';
import { charsetOf, decodeText } from './charset.ts';
import type { HttpHeaders } from './exchange.ts';
import type { HttpReply } from './reply.ts';

/** How much of a body a failure carries. */
const FAILURE_BODY_BYTES = 4_096;
/** Any number of digits is a pause; the retry policy has a shorter maximum. */
const MAX_PAUSE_MS = Number.MAX_SAFE_INTEGER;
const RETRYABLE: ReadonlySet<number> = new Set([408, 425, 429]);

/** @param call the method and the URL, as they may be shown */
export function statusFailure(code: string, call: string, reply: HttpReply): StepFailure {
  const retryAfterMs = retryAfter(reply);
  return new StepFailure(code, `${call} answered ${reply.status}`, {
    retryable: RETRYABLE.has(reply.status) || reply.status >= 500,
    ...(retryAfterMs === null ? {} : { retryAfterMs }),
    details: { status: reply.status, headers: reply.headers, ...shortened(reply) },
  });
}

/** Returns the beginning of a body, or the reason why it could not be read. */
export function shortened({ headers, body, fault }: HttpReply): JsonObject {
  if (fault !== null) return { body: null, body_error: fault.message };
  if (body.length <= FAILURE_BODY_BYTES) return { ...decodeBody(body, contentTypeOf(headers), 'text') };
  const start = decodeText(body.subarray(0, FAILURE_BODY_BYTES), charsetOf(contentTypeOf(headers)));
  return { body: start.replace(/\uFFFD$/, '') + CUT_MARK, truncated: true };
}

export function contentTypeOf(headers: HttpHeaders): string | undefined {
  return [headers['content-type']].flat()[0];
}

/** Milliseconds. A date is measured against the peer's own clock if the response has it. */
function retryAfter(reply: HttpReply): number | null {
  const text = [reply.headers['retry-after']].flat()[0]?.trim() ?? '';
  if (/^\d+$/.test(text)) return Math.min(Number(text) * 1_000, MAX_PAUSE_MS);
  const at = Date.parse(text);
  if (!/[a-z]/i.test(text) || Number.isNaN(at)) return null;
  const peerNow = Date.parse([reply.headers.date].flat()[0] ?? '');
  return Math.max(0, at - (Number.isNaN(peerNow) ? Date.now() : peerNow));
}
