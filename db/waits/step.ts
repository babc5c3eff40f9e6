/**
 * Reads one step, with its execution as far as it decides who may see the step and what may become of it.
 */

import type { WaitingFor } from '../../core/event.ts';
import type { ExecutionStatus } from '../../core/status.ts';
import type { ScopeId } from '../../core/view.ts';
import type { Db } from '../connection/client.ts';
import { STEP_COLUMNS, type StepDetail, type TrackedInput, toStepDetail } from '../execution-queries.ts';
import { scopeOfStep } from '../scopes/scope.ts';

/** A step as those see it who may end its wait. */
export interface StoredStep extends StepDetail {
  readonly executionId: string;
  /** The scope that it is in; null: the top level. */
  readonly scopeId: ScopeId | null;
  readonly executionStatus: ExecutionStatus;
  readonly templateId: string;
  readonly workspaceId: string | null;
  /** Who started the execution. */
  readonly userId: string | null;
  /** The time of the database. */
  readonly readAt: Date;
  /** Of the transition that changed it last. */
  readonly sequence: number;
  readonly waitingFor: WaitingFor | null;
  /** When its last attempt began, if that is not the first; else null. */
  readonly attemptStartedAt: Date | null;
  /** The engine that has its attempt, or had the one that completed it; null: none. */
  readonly engine: string | null;
  /** The answer that ended its last wait; null: none did. */
  readonly answerId: string | null;
}

const READ = (outputs: string) => `
  select ${STEP_COLUMNS('s')}, ${outputs} as outputs, s.sequence, s.answer_id, s.attempt_started_at,
         s.claimed_by, s.workflow_execution_id, s.holder_id,
         e.status as execution_status, e.workflow_template_id, e.workspace_id,
         e.user_id, clock_timestamp() as read_at
    from workflow_step_executions s join workflow_executions e on e.id = s.workflow_execution_id
   where s.id = $1 and e.removed_at is null`;

/** Returns a step; null: there is none. Uses the primary keys. */
export async function readStep(db: Db, id: string, withOutputs: boolean): Promise<StoredStep | null> {
  const { rows } = await db.query({
    name: withOutputs ? 'read_step_with_outputs' : 'read_step',
    text: READ(withOutputs ? 's.outputs::text' : 'null'),
    values: [id],
  });
  const [row] = rows;
  if (row === undefined) return null;
  return {
    ...toStepDetail(row),
    executionId: row.workflow_execution_id,
    scopeId: scopeOfStep(row.holder_id, row.scope),
    executionStatus: row.execution_status,
    templateId: row.workflow_template_id,
    workspaceId: row.workspace_id,
    userId: row.user_id,
    readAt: row.read_at,
    sequence: row.sequence,
    attemptStartedAt: row.attempt_started_at,
    engine: row.claimed_by,
    answerId: row.answer_id,
  };
}

/** A resolved edge of a step, with the template of the step that it comes from. */
export interface InputOfStep extends TrackedInput {
  readonly fromStepTemplateId: string;
}

const INPUTS = `
  select i.step_execution_id, i.from_step_execution_id, i.live, i.route, p.step_template_id
    from workflow_input_tracker i join workflow_step_executions p on p.id = i.from_step_execution_id
   where i.step_execution_id = $1`;

/** Returns the resolved edges of a step. */
export async function readInputsOfStep(db: Db, id: string): Promise<InputOfStep[]> {
  const { rows } = await db.query({ name: 'read_inputs_of_step', text: INPUTS, values: [id] });
  return rows.map((row) => ({
    stepId: row.step_execution_id,
    fromStepId: row.from_step_execution_id,
    fromStepTemplateId: row.step_template_id,
    live: row.live,
    route: row.route,
  }));
}
