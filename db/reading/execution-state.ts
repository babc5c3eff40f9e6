/**
 * Reads the state of one scope of an execution in one statement, so that all of it is of one moment.
 */
import type { ExecutionStatus } from '../../core/status.ts';
import type { Pause } from '../../core/view.ts';
import type { Db } from '../connection/client.ts';
import { STEP_COLUMNS, type StepDetail, toStepDetail } from '../execution-queries.ts';

export interface SnapshotStep extends StepDetail {
  readonly routes: readonly string[] | null;
  readonly lost: boolean;
  /** Numbers of the scopes that it holds; null: it holds none. */
  readonly held: HeldNumbers | null;
}

export interface HeldNumbers {
  readonly total: number;
  readonly completed: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly open: number;
}

export interface ExecutionSnapshot {
  readonly templateId: string;
  readonly workspaceId: string | null;
  readonly status: ExecutionStatus;
  readonly sequence: number;
  readonly stopRequested: boolean;
  /** Null: nobody has paused it. */
  readonly pause: Pause | null;
  readonly createdAt: Date;
  /** Of the scope that was asked for. */
  readonly steps: readonly SnapshotStep[];
}

/** `offset 0` keeps the planner from a join that would read the scopes of all executions. */
const SNAPSHOT = `
  select e.workflow_template_id, e.workspace_id, e.status as execution_status, e.sequence as execution_sequence,
         e.stop_requested_at is not null as stop_requested, e.created_at as execution_created_at,
         e.paused_at is not null as is_paused, e.paused_by,
         ${STEP_COLUMNS('s')}, null as outputs, s.routes, s.lost_race,
         h.total, h.completed_count, h.failed_count, h.cancelled_count, h.open_count
    from workflow_executions e
    left join workflow_step_executions s on s.workflow_execution_id = e.id and s.scope = $2
    left join lateral (
      select total, completed_count, failed_count, cancelled_count, open_count from workflow_held_scopes
       where step_execution_id = s.id offset 0) h on true
   where e.id = $1 and e.removed_at is null`;

/** Returns null when there is no such execution. @param scope path of a scope; '' is the top level */
export async function readSnapshot(db: Db, id: string, scope: string): Promise<ExecutionSnapshot | null> {
  const { rows } = await db.query({ name: 'read_snapshot', text: SNAPSHOT, values: [id, scope] });
  const [first] = rows;
  if (first === undefined) return null;
  return {
    templateId: first.workflow_template_id,
    workspaceId: first.workspace_id,
    status: first.execution_status,
    sequence: first.execution_sequence,
    stopRequested: first.stop_requested,
    pause: first.is_paused ? { by: first.paused_by } : null,
    createdAt: first.execution_created_at,
    steps: rows.filter(({ id: stepId }) => stepId !== null).map(toSnapshotStep),
  };
}

// biome-ignore lint/suspicious/noExplicitAny: a row from the driver
function toSnapshotStep(row: any): SnapshotStep {
  const held =
    row.total === null
      ? null
      : {
          total: row.total,
          completed: row.completed_count,
          failed: row.failed_count,
          cancelled: row.cancelled_count,
          open: row.open_count,
        };
  return { ...toStepDetail(row), routes: row.routes, lost: row.lost_race, held };
}
