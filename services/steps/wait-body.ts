/**
 * `waiting_for` as it is shown. Pure.
 */
import type { HeldScopes } from '../../core/scopes/held-scopes.ts';
import type { StepDetail } from '../../db/execution-queries.ts';
import type { WaitBody } from '../execution-answers.ts';

/**
 * Returns what a parked step, or one that waits for its next attempt, waits for; null: it does neither.
 * @param hookUrl the URL of a webhook step; null: the caller does not see it
 * @param held the numbers of the scopes of a step that holds some
 */
export function waitBody(
  { status, waitingFor, timerAt, attempt }: StepDetail,
  hookUrl: () => string | null,
  held?: HeldScopes,
): WaitBody | null {
  const at = timerAt?.toISOString() ?? null;
  if (status === 'retrying') return { kind: 'retry', at, attempt: attempt + 1 };
  if (status !== 'waiting') return null;
  if (waitingFor === null) return { kind: 'timer', at };
  if (held !== undefined) return { ...waitingFor, open: held.open };
  // What it is answered with is between the definition and the sender.
  return waitingFor.kind === 'webhook' ? { kind: 'webhook', url: hookUrl() } : { ...waitingFor };
}
