/**
 * Reads rows whose jobs are missing, for a repair, under the lock of their executions.
 */
import type { StepStatus } from '../../core/status.ts';
import type { ScopeId } from '../../core/view.ts';
import { plainArray } from '../array-literal.ts';
import type { Db } from '../connection/client.ts';
import { scopeOfStep } from '../scopes/scope.ts';

export interface JoblessStep {
  readonly id: string;
  readonly executionId: string;
  /** Null: the top level. */
  readonly scope: ScopeId | null;
  readonly stepTemplateId: string;
  readonly status: StepStatus;
  readonly attempt: number;
  readonly sequence: number;
  /** Milliseconds until it resumes; negative: overdue. Null: the row does not say. */
  readonly resumesInMs: number | null;
  readonly retries: number;
  /** Milliseconds until its deadline; negative: passed. Null: none. */
  readonly deadlineInMs: number | null;
}

export async function readJoblessSteps(db: Db, ids: readonly string[]): Promise<JoblessStep[]> {
  const { rows } = await db.query(
    `select id, workflow_execution_id, holder_id, scope, step_template_id, status, attempt_count, sequence,
            extract(epoch from resume_at - now()) * 1000 as resumes_in_ms, retry_count,
            extract(epoch from deadline_at - now()) * 1000 as deadline_in_ms
       from workflow_step_executions
      where id = any($1::uuid[])`,
    [plainArray(ids)],
  );
  return rows.map((row) => ({
    id: row.id,
    executionId: row.workflow_execution_id,
    scope: scopeOfStep(row.holder_id, row.scope),
    stepTemplateId: row.step_template_id,
    status: row.status,
    attempt: row.attempt_count,
    sequence: row.sequence,
    resumesInMs: row.resumes_in_ms === null ? null : Number(row.resumes_in_ms),
    retries: row.retry_count,
    deadlineInMs: row.deadline_in_ms === null ? null : Number(row.deadline_in_ms),
  }));
}

export interface JoblessExecution {
  readonly id: string;
  /** Milliseconds until it should begin; 0 when it was not delayed. */
  readonly beginsInMs: number;
  /** Milliseconds since it began; 0 when it has not. */
  readonly runningMs: number;
  /** Milliseconds since its stop was requested; 0 when it was not. */
  readonly stoppingMs: number;
}

export async function readJoblessExecutions(db: Db, ids: readonly string[]): Promise<JoblessExecution[]> {
  const { rows } = await db.query(
    `select id,
            coalesce(extract(epoch from start_after - now()) * 1000, 0) as begins_in_ms,
            coalesce(extract(epoch from now() - coalesce(resumed_at, started_at)) * 1000, 0) as running_ms,
            coalesce(extract(epoch from now() - stop_requested_at) * 1000, 0) as stopping_ms
       from workflow_executions
      where id = any($1::uuid[])`,
    [plainArray(ids)],
  );
  return rows.map((row) => ({
    id: row.id,
    beginsInMs: Number(row.begins_in_ms),
    runningMs: Number(row.running_ms),
    stoppingMs: Number(row.stopping_ms),
  }));
}
