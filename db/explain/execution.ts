/**
 * Reads an execution, or a scope of it, with the rows of its steps, for the question why it is not final.
 */
import type { WaitingFor } from '../../core/event.ts';
import type { ExecutionStatus } from '../../core/status.ts';
import type { ExecutionRow } from '../../core/view.ts';
import type { Db } from '../connection/client.ts';
import { NOBODY } from '../pending-execution.ts';
import { type LoadedStep, STATE_COLUMNS, toLoaded } from '../workflow-step-execution.ts';

export interface ExplainedExecution extends ExecutionRow {
  readonly templateId: string;
  readonly workspaceId: string | null;
  readonly priority: number;
  readonly hasOpenChildren: boolean;
  readonly startAt: number | null;
  readonly createdAt: number;
  readonly stopRequestedAt: number | null;
  readonly pausedAt: number | null;
  readonly completedAt: number | null;
}

/** Returns null when there is no such execution. */
export async function readExplained(db: Db, id: string): Promise<ExplainedExecution | null> {
  const { rows } = await db.query({
    name: 'read_explained',
    text: `select e.id, e.workflow_template_id, e.workspace_id, e.status, e.sequence, e.priority, e.error, e.due_status,
                  e.start_after, e.created_at, e.stop_requested_at, e.stop_reason, e.paused_at, e.paused_by, e.completed_at
             from workflow_executions e where e.id = $1 and e.removed_at is null`,
    values: [id],
  });
  const [row] = rows;
  if (row === undefined) return null;
  return {
    id: row.id,
    templateId: row.workflow_template_id,
    workspaceId: row.workspace_id,
    status: row.status,
    sequence: Number(row.sequence),
    priority: row.priority,
    failure: row.error,
    due: row.status === 'compensating' ? row.due_status : null,
    stopRequested: row.stop_requested_at === null ? null : { reason: row.stop_reason },
    pause: row.paused_at === null ? null : { by: row.paused_by },
    hasOpenChildren: false,
    startAt: msOf(row.start_after),
    createdAt: row.created_at.getTime(),
    stopRequestedAt: msOf(row.stop_requested_at),
    pausedAt: msOf(row.paused_at),
    completedAt: msOf(row.completed_at),
  };
}

/** Returns who paused an execution last; null: not known. Uses workflow_execution_acts_execution. */
export async function readPauser(db: Db, executionId: string): Promise<string | null> {
  const { rows } = await db.query({
    name: 'read_pauser',
    text: `select by from workflow_execution_acts
            where execution_id = $1 and act = 'pause' order by at desc limit 1`,
    values: [executionId],
  });
  return rows[0]?.by ?? null;
}

export interface ExplainedScope {
  readonly status: ExecutionStatus;
  readonly stopRequestedAt: number | null;
}

/** Returns the state of a scope of an execution; null: it was not opened. Uses the index of its first step. */
export async function readExplainedScope(
  db: Db,
  executionId: string,
  scope: string,
): Promise<ExplainedScope | null> {
  const { rows } = await db.query({
    name: 'read_explained_scope',
    text: `select c.status, c.stop_requested_at
             from (select holder_id from workflow_step_executions
                    where workflow_execution_id = $1 and scope = $2 limit 1) s
             join workflow_scopes c on c.step_execution_id = s.holder_id and c.index = $3`,
    values: [executionId, scope, Number(/\[(\d+)\]$/.exec(scope)?.[1] ?? -1)],
  });
  const [row] = rows;
  return row === undefined ? null : { status: row.status, stopRequestedAt: msOf(row.stop_requested_at) };
}

/** A step's row: its state in the view, and what explains it. */
export interface ExplainedStep extends LoadedStep {
  /** When it came into its present status. */
  readonly sinceMs: number;
  readonly createdAt: number;
  readonly startedAt: number | null;
  readonly completedAt: number | null;
  readonly timerAt: number | null;
  readonly deadlineAt: number | null;
  readonly waitingFor: WaitingFor | null;
  readonly error: { readonly code: string; readonly message: string } | null;
}

const MAX_MESSAGE = 1_000;

/** Returns the rows of a scope: never payloads. Uses workflow_step_executions_scope_step. */
export async function readExplainedSteps(
  db: Db,
  executionId: string,
  scope: string,
): Promise<ExplainedStep[]> {
  const { rows } = await db.query({
    name: 'read_explained_steps',
    text: `select ${STATE_COLUMNS}, updated_at, created_at, started_at, completed_at, resume_at, deadline_at, waiting_for,
                  error_code, left(error, ${MAX_MESSAGE}) as error
             from workflow_step_executions where workflow_execution_id = $1 and scope = $2`,
    values: [executionId, scope],
  });
  return rows.map((row) => ({
    ...toLoaded(row),
    sinceMs: row.updated_at.getTime(),
    createdAt: row.created_at.getTime(),
    startedAt: msOf(row.started_at),
    completedAt: msOf(row.completed_at),
    timerAt: msOf(row.resume_at),
    deadlineAt: msOf(row.deadline_at),
    waitingFor: row.waiting_for,
    error: row.error_code === null ? null : { code: row.error_code, message: row.error ?? '' },
  }));
}

/** Executions that are counted in front of one. */
const MAX_LINE = 1_000;

/**
 * Returns the place of a pending execution in the line of its workspace, from 1; null: more than 1,000 are before it. Uses
 * workflow_executions_pending.
 */
export async function readPlaceInLine(
  db: Db,
  { id, workspaceId, priority }: Pick<ExplainedExecution, 'id' | 'workspaceId' | 'priority'>,
): Promise<number | null> {
  const { rows } = await db.query({
    name: 'read_place_in_line',
    text: `select count(*)::integer as before from (
             select from workflow_executions
              where status = 'pending' and start_after is null and coalesce(workspace_id, '${NOBODY}') = $1
                and (priority > $2 or (priority = $2 and id < $3))
              order by priority desc, id limit ${MAX_LINE + 1}) b`,
    values: [workspaceId ?? NOBODY, priority, id],
  });
  const { before } = rows[0];
  return before > MAX_LINE ? null : before + 1;
}

function msOf(time: Date | null): number | null {
  return time === null ? null : time.getTime();
}
