/**
 * The statement on workflow_step_logs: the log lines of attempts, written with their ends.
 */
import { jsonArray, plainArray } from '../array-literal.ts';
import type { Statement } from '../statement.ts';

export interface LogWrite {
  readonly stepId: string;
  readonly attempt: number;
  readonly sequence: number;
  /** JSON text of a list. */
  readonly lines: string;
}

/** Batches of an attempt: one that is parked and resumed again and again has one each time. */
const MAX_BATCHES = 20;

/** The row of a step may be gone, when the time of retention is over. A commit may be made again: lines are kept once. */
const KEEP = `
  insert into workflow_step_logs (step_execution_id, attempt, sequence, lines)
  select s.id, t.attempt, t.sequence, t.lines
    from unnest($1::uuid[], $2::integer[], $3::bigint[], $4::jsonb[]) as t(id, attempt, sequence, lines)
    join workflow_step_executions s on s.id = t.id
   where (select count(*) from workflow_step_logs l where l.step_execution_id = t.id and l.attempt = t.attempt)
         < ${MAX_BATCHES}
  on conflict do nothing`;

export function keepLogs(rows: readonly LogWrite[]): Statement {
  return {
    name: 'keep_step_logs',
    text: KEEP,
    values: [
      plainArray(rows.map(({ stepId }) => stepId)),
      plainArray(rows.map(({ attempt }) => attempt)),
      plainArray(rows.map(({ sequence }) => sequence)),
      jsonArray(rows.map(({ lines }) => lines)),
    ],
  };
}
