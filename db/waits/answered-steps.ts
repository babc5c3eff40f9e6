/**
 * Statements on steps whose wait an answer of the outside ends. They run only in commits that have such steps.
 */
import { jsonArray, plainArray } from '../array-literal.ts';
import { momentOf } from '../clock.ts';
import { guarded, type Statement } from '../statement.ts';

/** A step whose wait an answer ended. */
export interface AnsweredStep {
  readonly id: string;
  readonly answerId: string;
}

export interface CompletedByAnswer extends AnsweredStep {
  /** The attempt that waits. */
  readonly attempt: number;
  /** JSON text. */
  readonly output: string;
  readonly sequence: number;
}

const COMPLETE = guarded(
  `update workflow_step_executions s
      set status = 'completed', outputs = u.output, routes = null, sequence = u.sequence, answer_id = u.answer_id,
          error = null, error_code = null, error_details = null, resume_at = null, deadline_at = null,
          waiting_for = null, parked_at = null, parked_state = null,
          completed_at = greatest(${momentOf(6)}, s.started_at), updated_at = ${momentOf(6)}
     from unnest($1::uuid[], $2::integer[], $3::jsonb[], $4::bigint[], $5::uuid[])
            as u(id, attempt, output, sequence, answer_id)
    where s.id = u.id and s.status = 'waiting' and s.attempt_count = u.attempt and s.claimed_by is null`,
  7,
);

/** @param at see db/clock.ts */
export function completeAnsweredSteps(rows: readonly CompletedByAnswer[], at: string | null): Statement {
  return {
    name: 'complete_answered_steps',
    text: COMPLETE,
    values: [
      plainArray(rows.map(({ id }) => id)),
      plainArray(rows.map(({ attempt }) => attempt)),
      jsonArray(rows.map(({ output }) => output)),
      plainArray(rows.map(({ sequence }) => sequence)),
      plainArray(rows.map(({ answerId }) => answerId)),
      at,
      rows.length,
    ],
  };
}

const MARK = guarded(
  `update workflow_step_executions s
      set answer_id = u.answer_id
     from unnest($1::uuid[], $2::uuid[]) as u(id, answer_id)
    where s.id = u.id`,
  3,
);

/** Stores the answers of steps that they did not complete. Comes after the update of the rows. */
export function markAnswers(rows: readonly AnsweredStep[]): Statement {
  return {
    name: 'mark_answers',
    text: MARK,
    values: [
      plainArray(rows.map(({ id }) => id)),
      plainArray(rows.map(({ answerId }) => answerId)),
      rows.length,
    ],
  };
}

/** A step that goes on waiting after an answer. */
export interface RenewedWait extends AnsweredStep {
  readonly attempt: number;
  /** JSON text. */
  readonly waitingFor: string;
  readonly sequence: number;
}

const RENEW = guarded(
  `update workflow_step_executions s
      set waiting_for = u.waiting_for, sequence = u.sequence, answer_id = u.answer_id, updated_at = ${momentOf(6)}
     from unnest($1::uuid[], $2::integer[], $3::jsonb[], $4::bigint[], $5::uuid[])
            as u(id, attempt, waiting_for, sequence, answer_id)
    where s.id = u.id and s.status = 'waiting' and s.attempt_count = u.attempt and s.claimed_by is null`,
  7,
);

/** Keeps when the step was parked, its state and its deadline. @param at see db/clock.ts */
export function renewWaits(rows: readonly RenewedWait[], at: string | null): Statement {
  return {
    name: 'renew_waits',
    text: RENEW,
    values: [
      plainArray(rows.map(({ id }) => id)),
      plainArray(rows.map(({ attempt }) => attempt)),
      jsonArray(rows.map(({ waitingFor }) => waitingFor)),
      plainArray(rows.map(({ sequence }) => sequence)),
      plainArray(rows.map(({ answerId }) => answerId)),
      at,
      rows.length,
    ],
  };
}
