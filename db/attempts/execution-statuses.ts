/**
 * Statements on workflow_execution_statuses: statuses that the row of an execution does not tell, or tells no more.
 */
import type { Plan } from '../../core/plan.ts';
import { type ExecutionStatus, isFinalExecution } from '../../core/status.ts';
import { plainArray } from '../array-literal.ts';
import { momentOf } from '../clock.ts';
import type { Statement } from '../statement.ts';

export interface StatusWrite {
  readonly id: string;
  readonly sequence: number;
  readonly status: ExecutionStatus;
}

/**
 * Returns the status that a plan gives its execution, if its row does not tell it: the row has the begin, which is the first
 * transition, and the end.
 */
export function statusToKeep({ view, fromStatus, fromSequence, begun, end }: Plan): StatusWrite | null {
  const { id, sequence, status } = view;
  if (status === fromStatus || end !== null || (begun && fromSequence === 0)) return null;
  return { id, sequence, status };
}

const KEEP = `
  insert into workflow_execution_statuses (workflow_execution_id, sequence, status, at)
  select id, sequence, status, ${momentOf(4)}
    from unnest($1::uuid[], $2::bigint[], $3::text[]) as t(id, sequence, status)
  on conflict do nothing`;

/** @param at see db/clock.ts */
export function keepStatuses(rows: readonly StatusWrite[], at: string | null): Statement {
  return {
    name: 'keep_execution_statuses',
    text: KEEP,
    values: [
      plainArray(rows.map(({ id }) => id)),
      plainArray(rows.map(({ sequence }) => sequence)),
      plainArray(rows.map(({ status }) => status)),
      at,
    ],
  };
}

const KEEP_ENDS = `
  insert into workflow_execution_statuses (workflow_execution_id, sequence, status, at)
  select e.id, e.sequence, e.status, coalesce(e.completed_at, e.updated_at)
    from workflow_executions e
   where e.id = any($1::uuid[]) and e.status in ('completed', 'failed', 'cancelled', 'timed_out')
  on conflict do nothing`;

/** Keeps the ends of executions that are opened again. Comes before their rows are changed. */
export function keepEnds(ids: readonly string[]): Statement {
  return { name: 'keep_execution_ends', text: KEEP_ENDS, values: [plainArray(ids)] };
}

/** Returns whether a plan opens an execution again that was over. */
export function isReopened({ view, fromStatus, repair }: Plan): boolean {
  return isFinalExecution(fromStatus) && (repair !== null || !isFinalExecution(view.status));
}
