/**
 * `waiting_for` as it is shown. Pure.
 */
import type { HeldScopes } from '../../core/scopes/held-scopes.ts';
import type { StepDetail } from '../../db/execution-queries.ts';
import type { WaitBody } from '../execution-answers.ts';
import { formOf } from '../forms/form-wait.ts';

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
  if (waitingFor.kind === 'webhook') return { kind: 'webhook', url: hookUrl() };
  const form = formOf(waitingFor);
  if (form !== null) return { kind: 'form', title: form.title, assignees: [...form.assignees] };
  return { ...waitingFor };
}
