/**
 * Statements on workflow_step_attempts and on the losers of races.
 */
import type { StepError } from '../../core/event.ts';
import type { LateResult } from '../../core/races/late-result.ts';
import { jsonArray, plainArray, textArray } from '../array-literal.ts';
import { momentOf } from '../clock.ts';
import type { Db } from '../connection/client.ts';
import { guarded, type Statement } from '../statement.ts';

const MARK_LOST = guarded(
  `update workflow_step_executions s set lost_race = true where s.id = any($1::uuid[]) and s.status = 'cancelled'`,
  2,
);

/** Marks steps that the same commit cancels as losers. */
export function markLost(stepIds: readonly string[]): Statement {
  return { name: 'mark_lost', text: MARK_LOST, values: [plainArray(stepIds), stepIds.length] };
}

/**
 * Returns those of the steps that have lost a race, were cancelled with the scope that they are in, or are gone: their scope
 * was opened anew.
 */
export async function lostSteps(db: Db, stepIds: readonly string[]): Promise<string[]> {
  const { rows } = await db.query({
    name: 'lost_steps',
    text: `select u.id::text from unnest($1::uuid[]) as u(id)
             left join workflow_step_executions s on s.id = u.id
            where s.id is null or (s.status = 'cancelled' and (s.lost_race or s.holder_id is not null))`,
    values: [plainArray(stepIds)],
  });
  return rows.map(({ id }) => id);
}

/** The row of a step may be gone: its execution is deleted when its time of retention is over. */
const KEEP_LATE = `
  insert into workflow_step_attempts
    (step_execution_id, attempt, outcome, engine_id, outputs, error_code, error, error_details, ended_at)
  select s.id, t.attempt, 'late', t.owner, t.output, t.error_code, t.error, t.error_details, ${momentOf(8)}
    from unnest($1::uuid[], $2::integer[], $3::uuid[], $4::jsonb[], $5::text[], $6::text[], $7::jsonb[])
           as t(id, attempt, owner, output, error_code, error, error_details)
    join workflow_step_executions s on s.id = t.id
  on conflict do nothing`;

/** Keeps results that came too late. Kept once: a commit may be made again. @param at see db/clock.ts */
export function keepLateResults(results: readonly LateResult[], at: string | null): Statement {
  const errors = results.map(({ event }) => (event.type === 'fail' ? event.error : null));
  const texts = (read: (error: StepError) => string) => errors.map((error) => error && read(error));
  return {
    name: 'keep_late_results',
    text: KEEP_LATE,
    values: [
      plainArray(results.map(({ stepId }) => stepId)),
      plainArray(results.map(({ event }) => event.claim.attempt)),
      plainArray(results.map(({ event }) => event.claim.owner)),
      jsonArray(results.map(({ event }) => (event.type === 'complete' ? event.output.json : null))),
      textArray(texts(({ code }) => code)),
      textArray(texts(({ message }) => message)),
      jsonArray(texts(({ details }) => JSON.stringify(details))),
      at,
    ],
  };
}
