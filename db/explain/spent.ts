/**
 * Reads the times of finished steps.
 */
import { plainArray } from '../array-literal.ts';
import type { Db } from '../connection/client.ts';

export interface SpentRow {
  /** When its first edge was resolved, or its scope began. */
  readonly createdAt: number;
  /** Resolved edges, and those of them that are live. */
  readonly resolved: number;
  readonly live: number;
  /** When the last edge was resolved; null: there is none. */
  readonly lastAt: number | null;
  /** When as many edges were live as the join requires; null: they never were. */
  readonly enoughAt: number | null;
  /** The begin of its first attempt; null: it never began. */
  readonly startedAt: number | null;
  readonly completedAt: number;
  readonly attempts: number;
  /** The begin of its last attempt; null: it never began. */
  readonly lastStartedAt: number | null;
  /** How long its attempts before the last one took together; null: not known of all. */
  readonly earlierMs: number | null;
  /** The last time at which its last attempt left the process; null: it did not. */
  readonly parkedAt: number | null;
  /** An answer of the outside, or the end of a child, ended the last wait. */
  readonly isAnswered: boolean;
}

/** Returns the times of finished steps, by id. Inputs and attempts are found by the index of their step. */
export async function readSpent(db: Db, stepIds: readonly string[]): Promise<Map<string, SpentRow>> {
  if (stepIds.length === 0) return new Map();
  const { rows } = await db.query({
    name: 'read_spent',
    text: `select s.id, s.created_at, s.started_at, s.completed_at, s.attempt_count, s.parked_at,
                  coalesce(s.attempt_started_at, s.started_at) as last_started_at,
                  case when a.timed >= s.attempt_count - 1 then coalesce(a.ms, 0) end as earlier_ms,
                  s.answer_id is not null as is_answered,
                  i.resolved::integer, i.live::integer, i.last_at, i.live_at[s.required_inputs] as enough_at
             from workflow_step_executions s
            cross join lateral (
              select count(*) as resolved, count(*) filter (where live) as live, max(received_at) as last_at,
                     array_agg(received_at order by received_at) filter (where live) as live_at
                from workflow_input_tracker where step_execution_id = s.id offset 0) i
            cross join lateral (
              select count(started_at) as timed, sum(extract(epoch from ended_at - started_at) * 1000) as ms
                from workflow_step_attempts
               where step_execution_id = s.id and attempt < s.attempt_count and outcome <> 'late' offset 0) a
            where s.id = any($1::uuid[])`,
    values: [plainArray(stepIds)],
  });
  return new Map(
    rows.map((row): [string, SpentRow] => [
      row.id,
      {
        createdAt: row.created_at.getTime(),
        resolved: row.resolved,
        live: row.live,
        lastAt: msOf(row.last_at),
        enoughAt: msOf(row.enough_at),
        startedAt: msOf(row.started_at),
        completedAt: row.completed_at.getTime(),
        attempts: row.attempt_count,
        lastStartedAt: msOf(row.last_started_at),
        earlierMs: row.earlier_ms === null ? null : Number(row.earlier_ms),
        parkedAt: msOf(row.parked_at),
        isAnswered: row.is_answered,
      },
    ]),
  );
}

function msOf(time: Date | null): number | null {
  return time === null ? null : time.getTime();
}
