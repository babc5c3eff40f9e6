/**
 * Reads whole executions with their jobs and tracked inputs, for the doctor to check against the rules of the core.
 */
import pg from 'pg';
import type { StepJob, TrackedInput } from '../../core/invariants.ts';
import type { QueueName } from '../../core/jobs.ts';
import type { ExecutionRow } from '../../core/view.ts';
import { plainArray } from '../array-literal.ts';
import type { Db } from '../connection/client.ts';
import { QUEUES } from './invariant.ts';

export interface StoredExecution extends ExecutionRow {
  readonly templateId: string;
}

/** Returns executions by id, after `after`. Uses the primary key. */
export async function readExecutionsAfter(db: Db, after: string, limit: number): Promise<StoredExecution[]> {
  const { rows } = await db.query(
    `select id, workflow_template_id, status, sequence, error, due_status, stop_requested_at is not null as stopping, stop_reason
       from workflow_executions
      where id > $1 and removed_at is null
      order by id
      limit $2`,
    [after, limit],
  );
  return rows.map((row) => ({
    id: row.id,
    templateId: row.workflow_template_id,
    status: row.status,
    sequence: Number(row.sequence),
    stopRequested: row.stopping ? { reason: row.stop_reason } : null,
    failure: row.error,
    due: row.status === 'compensating' ? row.due_status : null,
  }));
}

/** Returns the jobs with the ids of these steps, by execution. jobs.ts checks all jobs for other ids. */
export async function readStepJobs(
  db: Db,
  pgbossSchema: string,
  stepIds: readonly string[],
): Promise<Map<string, StepJob[]>> {
  const { rows } = await db.query(
    `select j.name, j.data ->> 'execution_id' as execution_id, j.data ->> 'step_id' as step_id
       from ${pg.escapeIdentifier(pgbossSchema)}.job j
      where j.name in ${QUEUES} and j.id = any($1::uuid[]) and j.data ->> 'step_id' is not null`,
    [plainArray(stepIds)],
  );
  return grouped(rows, (row) => ({ queue: row.name as QueueName, stepId: row.step_id as string }));
}

/** Returns tracked inputs by execution. */
export async function readInputs(
  db: Db,
  executionIds: readonly string[],
): Promise<Map<string, TrackedInput[]>> {
  const { rows } = await db.query(
    `select s.workflow_execution_id as execution_id, i.step_execution_id, i.from_step_execution_id, i.live
       from workflow_step_executions s
      cross join lateral (
        select step_execution_id, from_step_execution_id, live from workflow_input_tracker x
         where x.step_execution_id = s.id offset 0) i
      where s.workflow_execution_id = any($1::uuid[]) and s.scope = ''`,
    [plainArray(executionIds)],
  );
  return grouped(rows, (row) => ({
    stepId: row.step_execution_id as string,
    fromStepId: row.from_step_execution_id as string,
    live: row.live as boolean,
  }));
}

// biome-ignore lint/suspicious/noExplicitAny: rows from the driver
function grouped<T>(rows: readonly any[], read: (row: any) => T): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const row of rows) {
    const group = groups.get(row.execution_id);
    if (group === undefined) groups.set(row.execution_id, [read(row)]);
    else group.push(read(row));
  }
  return groups;
}
