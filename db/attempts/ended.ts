/**
 * Statements that keep attempts whose end the row of their step does not tell, or tells no more.
 */
import type { StepError } from '../../core/event.ts';
import { jsonText } from '../../core/json/parse-in-pieces.ts';
import type { EndedOutcome } from '../../core/plan.ts';
import type { StepStatus } from '../../core/status.ts';
import { jsonArray, plainArray, textArray } from '../array-literal.ts';
import { momentOf } from '../clock.ts';
import type { Statement } from '../statement.ts';

/** An attempt as it is kept. */
export interface AttemptWrite {
  readonly stepId: string;
  readonly attempt: number;
  /** `late`: its result came after its step had lost a race. */
  readonly outcome: EndedOutcome | 'late';
  readonly owner: string | null;
  /** JSON text, of a late result. */
  readonly output: string | null;
  readonly error: StepError | null;
  /** The transition that ended it, and the status of its step from then on; null: it changed nothing. */
  readonly change: { readonly sequence: number; readonly status: StepStatus } | null;
}

/** A commit may be made again: what is kept stays, but for an attempt that was given back: another one has its number since. */
const REPLACE_GIVEN_BACK = `
  on conflict (step_execution_id, attempt) do update
     set outcome = excluded.outcome, engine_id = excluded.engine_id, outputs = excluded.outputs,
         error_code = excluded.error_code, error = excluded.error, error_details = excluded.error_details,
         started_at = excluded.started_at, ended_at = excluded.ended_at, sequence = excluded.sequence,
         status = excluded.status
   where a.outcome = 'given_back'`;

/**
 * The row of the step is read as it was before this commit changed it: it has the time at which the attempt began. It may be
 * gone, when the time of retention is over.
 */
const KEEP = `
  insert into workflow_step_attempts as a
    (step_execution_id, attempt, outcome, engine_id, outputs, error_code, error, error_details, started_at, ended_at,
     workflow_execution_id, scope, sequence, status)
  select s.id, t.attempt, t.outcome, t.owner, t.output, t.error_code, t.error, t.error_details,
         case when t.attempt = s.attempt_count then coalesce(s.attempt_started_at, s.started_at) end,
         greatest(${momentOf(11)}, s.started_at, s.attempt_started_at), s.workflow_execution_id, s.scope, t.sequence, t.status
    from unnest($1::uuid[], $2::integer[], $3::text[], $4::uuid[], $5::jsonb[], $6::text[], $7::text[], $8::jsonb[],
                $9::bigint[], $10::text[])
           as t(id, attempt, outcome, owner, output, error_code, error, error_details, sequence, status)
    join workflow_step_executions s on s.id = t.id
  ${REPLACE_GIVEN_BACK}`;

/** Comes before the rows of the steps are changed. @param at see db/clock.ts */
export function keepAttempts(rows: readonly AttemptWrite[], at: string | null): Statement {
  const texts = (read: (error: StepError) => string) => rows.map(({ error }) => error && read(error));
  return {
    name: 'keep_attempts',
    text: KEEP,
    values: [
      plainArray(rows.map(({ stepId }) => stepId)),
      plainArray(rows.map(({ attempt }) => attempt)),
      plainArray(rows.map(({ outcome }) => outcome)),
      plainArray(rows.map(({ owner }) => owner)),
      jsonArray(rows.map(({ output }) => output)),
      textArray(texts(({ code }) => code)),
      textArray(texts(({ message }) => message)),
      jsonArray(texts(({ details }) => jsonText(details))),
      plainArray(rows.map(({ change }) => change?.sequence ?? null)),
      plainArray(rows.map(({ change }) => change?.status ?? null)),
      at,
    ],
  };
}

const FINAL = `('completed', 'failed', 'skipped', 'cancelled')`;

/** A completed step has the engine that ran it in its row; its output goes along. */
const KEEP_LAST = `
  insert into workflow_step_attempts as a
    (step_execution_id, attempt, outcome, engine_id, outputs, error_code, error, error_details, started_at, ended_at,
     workflow_execution_id, scope, sequence, status)
  select s.id, s.attempt_count, s.status, s.claimed_by, s.outputs, s.error_code, s.error, s.error_details,
         coalesce(s.attempt_started_at, s.started_at), s.completed_at, s.workflow_execution_id, s.scope, s.sequence, s.status
    from workflow_step_executions s
   where s.id = any($1::uuid[]) and s.status in ('completed', 'cancelled') and s.attempt_count > 0
  ${REPLACE_GIVEN_BACK}`;

const KEEP_STATUSES = `
  insert into workflow_step_statuses
    (step_execution_id, sequence, workflow_execution_id, scope, status, attempt, error_code, at)
  select s.id, s.sequence, s.workflow_execution_id, s.scope, s.status, s.attempt_count, s.error_code, s.completed_at
    from workflow_step_executions s
   where s.id = any($1::uuid[]) and s.status in ${FINAL}
  on conflict do nothing`;

/**
 * Keeps the last attempt and the final status of steps that are over and are reset. Comes before their rows are changed, in
 * the same transaction, under the lock or the sequence guard of their view.
 *
 * Plans need not ask for it: db/apply-plan.ts adds it for each step that leaves a final status. Whoever resets steps in SQL
 * does.
 */
export function keepBeforeReset(stepIds: readonly string[]): Statement[] {
  const values = [plainArray(stepIds)];
  return [
    { name: 'keep_last_attempts', text: KEEP_LAST, values },
    { name: 'keep_step_statuses', text: KEEP_STATUSES, values },
  ];
}
