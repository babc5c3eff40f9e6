/**
 * Reads whole executions with their jobs and tracked inputs, for the doctor to check against the rules of the core.
 */
import pg from 'pg';
import type { StepJob, TrackedInput } from '../../core/invariants.ts';
import type { QueueName } from '../../core/jobs.ts';
import type { ExecutionRow, ScopeId } from '../../core/view.ts';
import { plainArray } from '../array-literal.ts';
import { openChild } from '../children/end.ts';
import type { Db } from '../connection/client.ts';
import { QUEUES } from './invariant.ts';

export interface StoredExecution extends ExecutionRow {
  readonly templateId: string;
  /** It is compensating, and waits for its children. */
  readonly hasOpenChildren: boolean;
}

/** Returns executions by id, after `after`. Uses the primary key. */
export async function readExecutionsAfter(db: Db, after: string, limit: number): Promise<StoredExecution[]> {
  const { rows } = await db.query(
    `select id, workflow_template_id, status, sequence, error, due_status, stop_requested_at is not null as stopping, stop_reason,
            paused_at is not null as is_paused, paused_by,
            case when status = 'compensating'
                 then exists (select from workflow_executions c
                               where c.parent_execution_id = workflow_executions.id and ${openChild('c')} offset 0) end as waits
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
    pause: row.is_paused ? { by: row.paused_by } : null,
    due: row.status === 'compensating' ? row.due_status : null,
    hasOpenChildren: row.waits === true,
  }));
}

/** Returns the jobs with the ids of these steps. jobs.ts checks all jobs for other ids. */
export async function readStepJobs(
  db: Db,
  pgbossSchema: string,
  stepIds: readonly string[],
): Promise<StepJob[]> {
  const { rows } = await db.query(
    `select j.name, j.data ->> 'step_id' as step_id
       from ${pg.escapeIdentifier(pgbossSchema)}.job j
      where j.name in ${QUEUES} and j.id = any($1::uuid[]) and j.data ->> 'step_id' is not null`,
    [plainArray(stepIds)],
  );
  return rows.map((row) => ({ queue: row.name as QueueName, stepId: row.step_id as string }));
}

/** Returns the tracked inputs of steps. */
export async function readInputs(db: Db, stepIds: readonly string[]): Promise<TrackedInput[]> {
  const { rows } = await db.query(
    `select step_execution_id, from_step_execution_id, live from workflow_input_tracker
      where step_execution_id = any($1::uuid[])`,
    [plainArray(stepIds)],
  );
  return rows.map((row) => ({
    stepId: row.step_execution_id as string,
    fromStepId: row.from_step_execution_id as string,
    live: row.live as boolean,
  }));
}

/** Returns scopes after a place, in the order of their holders' ids. Uses the primary key. */
export async function readScopesAfter(db: Db, after: ScopeId, limit: number): Promise<ScopeId[]> {
  const { rows } = await db.query(
    `select step_execution_id, index from workflow_scopes
      where (step_execution_id, index) > ($1::uuid, $2::integer)
      order by step_execution_id, index
      limit $3`,
    [after.holderId, after.index, limit],
  );
  return rows.map((row) => ({ holderId: row.step_execution_id, index: row.index }));
}

/** What the doctor must know of the execution of a scope. */
export interface AroundScope {
  readonly templateId: string;
  readonly isPaused: boolean;
}

/** Returns those of the executions that are not removed. */
export async function readAroundScopes(db: Db, ids: readonly string[]): Promise<Map<string, AroundScope>> {
  const { rows } = await db.query(
    `select id, workflow_template_id, status = 'paused' as is_paused from workflow_executions
      where id = any($1::uuid[]) and removed_at is null`,
    [plainArray(ids)],
  );
  return new Map(
    rows.map((row) => [row.id, { templateId: row.workflow_template_id, isPaused: row.is_paused }]),
  );
}
