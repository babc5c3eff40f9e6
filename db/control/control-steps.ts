/**
 * The statement on steps that are changed by hand: reset by a retry, or completed, failed and skipped whatever they did.
 */
import type { StepStatus } from '../../core/status.ts';
import { jsonArray, plainArray, textArray } from '../array-literal.ts';
import { momentOf } from '../clock.ts';
import { guarded, type Statement } from '../statement.ts';

/** The row of a step as it becomes. */
export interface ControlledUpdate {
  readonly id: string;
  readonly fromStatus: StepStatus;
  readonly fromAttempt: number;
  readonly fromOwner: string | null;
  readonly status: StepStatus;
  readonly attempt: number;
  readonly retries: number;
  readonly crashes: number;
  readonly owner: string | null;
  readonly sequence: number;
  /** The step begins anew: what it had received is of no meaning any more. */
  readonly isReset: boolean;
  readonly resets: number;
  readonly keyNumber: number;
  /** Array literal of jsonb; null: not decided. */
  readonly received: string | null;
  /** JSON text. */
  readonly output: string | null;
  /** Array literal of text; null: none. */
  readonly routes: string | null;
  readonly errorCode: string | null;
  readonly error: string | null;
  /** JSON text. */
  readonly errorDetails: string | null;
  /** JSON text. */
  readonly waitingFor: string | null;
  readonly deadlineMs: number | null;
  /** JSON text of `{ act, by }`; null: nobody has ended it. */
  readonly byHand: string | null;
}

const CONTROL = guarded(
  `update workflow_step_executions s
      set status = u.status, attempt_count = u.attempt, retry_count = u.retries, crash_count = u.crashes,
          claimed_by = u.owner, sequence = u.sequence, updated_at = ${momentOf(23)}, reset_count = u.resets,
          key_number = u.key_number, lost_race = false,
          by_hand = u.by_hand || jsonb_build_object('at', ${momentOf(23)}),
          received_inputs = coalesce(u.received::jsonb[], case when u.is_reset then '{}' else s.received_inputs end),
          outputs = u.output, routes = u.routes::text[],
          error = u.error, error_code = u.error_code, error_details = u.error_details,
          started_at = case when u.status = 'running' or (u.is_reset and u.status = 'waiting')
                            then greatest(${momentOf(23)}, s.created_at)
                            when not u.is_reset then s.started_at end,
          parked_at = case when u.status = 'waiting' then ${momentOf(23)} end, parked_state = null, resume_at = null,
          deadline_at = ${momentOf(23)} + u.deadline_ms * interval '1 millisecond', waiting_for = u.waiting_for,
          completed_at = case when u.status in ('completed', 'failed', 'skipped', 'cancelled')
                              then greatest(${momentOf(23)}, s.created_at, s.started_at) end
     from unnest($1::uuid[], $2::text[], $3::integer[], $4::uuid[], $5::text[], $6::integer[], $7::integer[], $8::integer[],
                 $9::uuid[], $10::bigint[], $11::boolean[], $12::integer[], $13::integer[], $14::text[], $15::jsonb[],
                 $16::text[], $17::text[], $18::text[], $19::jsonb[], $20::jsonb[], $21::double precision[], $22::jsonb[])
            as u(id, from_status, from_attempt, from_owner, status, attempt, retries, crashes, owner, sequence, is_reset,
                 resets, key_number, received, output, routes, error_code, error, error_details, waiting_for,
                 deadline_ms, by_hand)
    where s.id = u.id and s.status = u.from_status and s.attempt_count = u.from_attempt
      and s.claimed_by is not distinct from u.from_owner`,
  24,
);

/** @param at see db/clock.ts */
export function controlSteps(rows: readonly ControlledUpdate[], at: string | null): Statement {
  return {
    name: 'control_steps',
    text: CONTROL,
    values: [
      plainArray(rows.map((row) => row.id)),
      plainArray(rows.map((row) => row.fromStatus)),
      plainArray(rows.map((row) => row.fromAttempt)),
      plainArray(rows.map((row) => row.fromOwner)),
      plainArray(rows.map((row) => row.status)),
      plainArray(rows.map((row) => row.attempt)),
      plainArray(rows.map((row) => row.retries)),
      plainArray(rows.map((row) => row.crashes)),
      plainArray(rows.map((row) => row.owner)),
      plainArray(rows.map((row) => row.sequence)),
      plainArray(rows.map((row) => row.isReset)),
      plainArray(rows.map((row) => row.resets)),
      plainArray(rows.map((row) => row.keyNumber)),
      textArray(rows.map((row) => row.received)),
      jsonArray(rows.map((row) => row.output)),
      textArray(rows.map((row) => row.routes)),
      textArray(rows.map((row) => row.errorCode)),
      textArray(rows.map((row) => row.error)),
      jsonArray(rows.map((row) => row.errorDetails)),
      jsonArray(rows.map((row) => row.waitingFor)),
      plainArray(rows.map((row) => row.deadlineMs)),
      jsonArray(rows.map((row) => row.byHand)),
      at,
      rows.length,
    ],
  };
}
