/**
 * The part of plans that is kept as history, as rows to write: ended attempts, resets of steps, statuses of executions.
 */

import type { Plan, StepChange } from '../../core/plan.ts';
import { type LateResult, lateResults } from '../../core/races/late-result.ts';
import { isFinalStep } from '../../core/status.ts';
import type { Statement } from '../statement.ts';
import { type AttemptWrite, keepAttempts, keepBeforeReset } from './ended.ts';
import { isReopened, keepEnds, keepStatuses, type StatusWrite, statusToKeep } from './execution-statuses.ts';

export interface HistoryRows {
  readonly attempts: AttemptWrite[];
  /** Steps that leave a final status. */
  readonly reset: string[];
  readonly statuses: StatusWrite[];
  /** Executions that leave a final status. */
  readonly reopened: string[];
}

export function noHistory(): HistoryRows {
  return { attempts: [], reset: [], statuses: [], reopened: [] };
}

/** Adds what the execution of a plan leaves behind. */
export function collectStatus(plan: Plan, { statuses, reopened }: HistoryRows): void {
  if (plan.view.status === plan.fromStatus) return;
  const status = statusToKeep(plan);
  if (status !== null) statuses.push(status);
  if (isReopened(plan)) reopened.push(plan.view.id);
}

/** Adds attempts that a plan has ended. */
export function collectAttempts({ attempts, view }: Plan, rows: HistoryRows): void {
  if (attempts === null) return;
  for (const { state, attempt, owner, outcome, error } of attempts) {
    const change = { sequence: view.sequence, status: state.status };
    rows.attempts.push({ stepId: state.id, attempt, outcome, owner, output: null, error, change });
  }
}

/** Adds a step of a plan that was over and begins anew. It may have been ended by hand in the same plan. */
export function collectReset({ from, state, control }: StepChange, { reset }: HistoryRows): void {
  if (from === null || !isFinalStep(from.status)) return;
  if (!isFinalStep(state.status) || control?.isReset === true) reset.push(state.id);
}

/** Comes before the rows of executions are changed. */
export function statusStatements({ statuses, reopened }: HistoryRows, at: string | null): Statement[] {
  return [
    ...(reopened.length > 0 ? [keepEnds(reopened)] : []),
    ...(statuses.length > 0 ? [keepStatuses(statuses, at)] : []),
  ];
}

/** Comes before the rows of steps are changed. */
export function attemptStatements({ attempts, reset }: HistoryRows, at: string | null): Statement[] {
  return [
    ...(reset.length > 0 ? keepBeforeReset(reset) : []),
    ...(attempts.length > 0 ? [keepAttempts(attempts, at)] : []),
  ];
}

/** Returns what keeps results that came too late; []: there are none. */
export function lateStatements(
  units: readonly { readonly plan: Plan }[],
  at: string | null,
): readonly Statement[] {
  if (!units.some(({ plan }) => plan.late.length > 0)) return NONE;
  const late = units.flatMap(({ plan }) => lateResults(plan));
  return late.length === 0 ? NONE : [keepAttempts(late.map(lateWrite), at)];
}

const NONE: readonly Statement[] = [];

function lateWrite({ stepId, event }: LateResult): AttemptWrite {
  const { attempt, owner } = event.claim;
  const output = event.type === 'complete' ? event.output.json : null;
  const error = event.type === 'fail' ? event.error : null;
  return { stepId, attempt, outcome: 'late', owner, output, error, change: null };
}
