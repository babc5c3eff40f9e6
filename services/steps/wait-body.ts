/**
 * `waiting_for` as it is shown. Pure.
 */
import type { StepDetail } from '../../db/execution-queries.ts';
import type { WaitBody } from '../execution-answers.ts';

/** Returns what a parked step, or one that waits for its next attempt, waits for; null: it does neither. */
export function waitBody({ status, waitingFor, timerAt, attempt }: StepDetail): WaitBody | null {
  const at = timerAt?.toISOString() ?? null;
  if (status === 'retrying') return { kind: 'retry', at, attempt: attempt + 1 };
  if (status !== 'waiting') return null;
  return waitingFor === null ? { kind: 'timer', at } : { ...waitingFor };
}
