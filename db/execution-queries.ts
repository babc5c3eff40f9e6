/**
 * Reads executions: one at a time with its steps, and lists that never touch payloads.
 */

import type { WaitingFor } from '../core/event.ts';
import type { ExecutionStatus, StepStatus } from '../core/status.ts';
import type { Pause } from '../core/view.ts';
import { jsonArray, plainArray } from './array-literal.ts';
import type { Db } from './connection/client.ts';

export interface ExecutionHead {
  readonly id: string;
  readonly templateId: string;
  readonly template: string;
  readonly version: number;
  readonly workspaceId: string | null;
  readonly userId: string | null;
  readonly status: ExecutionStatus;
  readonly stopRequested: boolean;
  /** Null: nobody has paused it. */
  readonly pause: Pause | null;
  readonly tags: readonly string[];
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly completedAt: Date | null;
  /** Of its last retry; null: it had none. */
  readonly resumedAt: Date | null;
  /** The step that started it; null: no step did. */
  readonly parent: { readonly executionId: string; readonly stepId: string } | null;
  /** The execution at the top of its tree; its own id when that is itself. */
  readonly rootId: string;
  /** The execution that it is a fork of; null: it is none. */
  readonly forkedFrom: string | null;
}

export interface ExecutionListRow extends ExecutionHead {
  readonly error: { code: string; message: string; step: string | null } | null;
}

export interface ExecutionDetail extends ExecutionListRow {
  /** JSON text. */
  readonly inputs: string;
  /** JSON text; null: none. */
  readonly outputs: string | null;
  /** Time at which a delayed execution begins; null: it was not delayed. */
  readonly startAfter: Date | null;
}

export const HEAD = `
  e.id, e.workflow_template_id, t.name, t.version, e.workspace_id, e.user_id, e.status,
  e.stop_requested_at is not null as stop_requested, e.tags, e.created_at, e.started_at, e.completed_at,
  e.resumed_at, e.paused_at is not null as is_paused, e.paused_by, e.parent_execution_id, e.parent_step_id,
  coalesce(e.root_execution_id, e.id) as root_id, e.forked_from`;

export async function readExecution(db: Db, id: string): Promise<ExecutionDetail | null> {
  const { rows } = await db.query({
    name: 'read_execution',
    text: `select ${HEAD}, coalesce(e.inputs::text, 'null') as inputs, e.outputs::text as outputs, e.error,
                  e.start_after
             from workflow_executions e join workflow_templates t on t.id = e.workflow_template_id
            where e.id = $1 and e.removed_at is null`,
    values: [id],
  });
  if (rows.length === 0) return null;
  const [row] = rows;
  const { inputs, outputs, error, start_after: startAfter } = row;
  return { ...toHead(row), inputs, outputs, error, startAfter };
}

export interface ExecutionState {
  readonly id: string;
  readonly status: ExecutionStatus;
  readonly stopRequested: boolean;
  /** Null: nobody has paused it. */
  readonly pause: Pause | null;
  readonly workspaceId: string | null;
}

/** Returns the states of those executions that exist. */
export async function readStates(db: Db, ids: readonly string[]): Promise<ExecutionState[]> {
  const { rows } = await db.query({
    name: 'read_execution_states',
    text: `select id, status, stop_requested_at is not null as stop_requested, workspace_id,
                  paused_at is not null as is_paused, paused_by
             from workflow_executions where id = any($1::uuid[]) and removed_at is null`,
    values: [plainArray(ids)],
  });
  return rows.map((row) => ({
    id: row.id,
    status: row.status,
    stopRequested: row.stop_requested,
    pause: row.is_paused ? { by: row.paused_by } : null,
    workspaceId: row.workspace_id,
  }));
}

export interface StepDetail {
  readonly id: string;
  readonly stepTemplateId: string;
  readonly scope: string;
  readonly status: StepStatus;
  readonly attempt: number;
  readonly required: number;
  readonly errorCode: string | null;
  readonly error: string | null;
  /** JSON text. */
  readonly errorDetails: string | null;
  /** JSON text; null: none. */
  readonly outputs: string | null;
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly completedAt: Date | null;
  /** Time at which the timer of a waiting or retrying step is due; null: no timer. */
  readonly timerAt: Date | null;
  /** The earlier of the timer and the end of the attempt's timeout; null: neither. */
  readonly resumeAt: Date | null;
  /** What a parked step waits for besides its timer. */
  readonly waitingFor: WaitingFor | null;
  /** The step execution of which a fork has the result; null: it has none. */
  readonly reusedFrom: string | null;
  /** Who ended it by hand; null: nobody did. */
  readonly byHand: StoredHand | null;
}

export interface StoredHand {
  readonly act: 'complete' | 'fail' | 'skip' | 'retry';
  readonly by: string | null;
  readonly at: string;
}

/** Returns the outputs of all steps of a scope together, in bytes of JSON. @param scope '' is the top level */
export async function sumOutputBytes(db: Db, executionId: string, scope: string): Promise<number> {
  const { rows } = await db.query({
    name: 'sum_output_bytes',
    text: `select coalesce(sum(octet_length(outputs::text)), 0) as bytes
             from workflow_step_executions
            where workflow_execution_id = $1 and scope = $2`,
    values: [executionId, scope],
  });
  return Number(rows[0].bytes);
}

/** @param scope path of a scope; '' is the top level */
export async function readSteps(
  db: Db,
  executionId: string,
  scope: string,
  withOutputs: boolean,
): Promise<StepDetail[]> {
  const { rows } = await db.query({
    name: withOutputs ? 'read_steps_with_outputs' : 'read_steps',
    text: `select ${STEP_COLUMNS('s')}, ${withOutputs ? 's.outputs::text as outputs' : 'null as outputs'}
             from workflow_step_executions s
            where s.workflow_execution_id = $1 and s.scope = $2`,
    values: [executionId, scope],
  });
  return rows.map(toStepDetail);
}

/** The columns of a StepDetail but its outputs. */
export const STEP_COLUMNS = (s: string) => `
  ${s}.id, ${s}.step_template_id, ${s}.scope, ${s}.status, ${s}.attempt_count, ${s}.required_inputs, ${s}.error_code,
  ${s}.error, ${s}.error_details::text as error_details, ${s}.created_at, ${s}.started_at, ${s}.completed_at, ${s}.resume_at as timer_at,
  least(${s}.resume_at, ${s}.deadline_at) as resume_at, ${s}.waiting_for, ${s}.reused_from, ${s}.by_hand`;

// biome-ignore lint/suspicious/noExplicitAny: a row from the driver
export function toStepDetail(row: any): StepDetail {
  return {
    id: row.id,
    stepTemplateId: row.step_template_id,
    scope: row.scope,
    status: row.status,
    attempt: row.attempt_count,
    required: row.required_inputs,
    errorCode: row.error_code,
    error: row.error,
    errorDetails: row.error_details,
    outputs: row.outputs,
    createdAt: row.created_at,
    startedAt: row.started_at,
    completedAt: row.completed_at,
    timerAt: row.timer_at,
    resumeAt: row.resume_at,
    waitingFor: row.waiting_for,
    reusedFrom: row.reused_from,
    byHand: row.by_hand,
  };
}

export interface TrackedInput {
  readonly stepId: string;
  readonly fromStepId: string;
  readonly live: boolean;
  readonly route: string | null;
}

/**
 * Edges are looked up step by step, whatever the planner's statistics: with stale ones it would
 * read all edges there are. (`offset 0` prevents other joins.)
 */
const TRACKED = `
  select i.step_execution_id, i.from_step_execution_id, i.live, i.route
    from workflow_step_executions s
   cross join lateral (
     select t.step_execution_id, t.from_step_execution_id, t.live, t.route
       from workflow_input_tracker t where t.step_execution_id = s.id offset 0) i
   where s.workflow_execution_id = $1 and s.scope = $2`;

/** Returns every resolved edge of a scope, before and after its join was decided. @param scope '' is the top level */
export async function readTrackedInputs(db: Db, executionId: string, scope: string): Promise<TrackedInput[]> {
  const { rows } = await db.query({
    name: 'read_tracked_inputs',
    text: TRACKED,
    values: [executionId, scope],
  });
  return rows.map((row) => ({
    stepId: row.step_execution_id,
    fromStepId: row.from_step_execution_id,
    live: row.live,
    route: row.route,
  }));
}

export interface IdempotentExecution {
  readonly id: string;
  readonly key: string;
  readonly status: ExecutionStatus;
  /** Whether template, explicit version and inputs equal those of the request. */
  readonly same: boolean;
}

/** Returns executions that hold one of the keys in a workspace, compared with the current request. */
export async function findByKeys(
  db: Db,
  workspaceId: string | null,
  requests: readonly { key: string; template: string; version: number | null; inputs: string }[],
): Promise<IdempotentExecution[]> {
  // One condition for each of the two partial indexes; `is not distinct from` could use neither.
  const inWorkspace =
    workspaceId === null ? 'e.workspace_id is null and $1::uuid is null' : 'e.workspace_id = $1';
  const { rows } = await db.query(
    `select e.id, e.idempotency_key, e.status,
            e.fork_digest is null and t.name = u.template and e.requested_version is not distinct from u.version and e.inputs = u.inputs as same
       from jsonb_to_recordset($2::jsonb) as u(key text, template text, version integer, inputs jsonb)
       join workflow_executions e on e.idempotency_key = u.key and ${inWorkspace}
       join workflow_templates t on t.id = e.workflow_template_id`,
    [workspaceId, `[${requests.map(requestJson).join(',')}]`],
  );
  return rows.map((row) => ({ id: row.id, key: row.idempotency_key, status: row.status, same: row.same }));
}

/** Returns for each pair of JSON texts whether they are the same value. */
export async function compareInputs(
  db: Db,
  pairs: readonly (readonly [string, string])[],
): Promise<boolean[]> {
  const { rows } = await db.query(
    'select a = b as same from unnest($1::jsonb[], $2::jsonb[]) with ordinality as t(a, b, n) order by n',
    [jsonArray(pairs.map(([a]) => a)), jsonArray(pairs.map(([, b]) => b))],
  );
  return rows.map(({ same }) => same);
}

function requestJson(request: {
  key: string;
  template: string;
  version: number | null;
  inputs: string;
}): string {
  const { key, template, version, inputs } = request;
  return `{"key":${JSON.stringify(key)},"template":${JSON.stringify(template)},"version":${version},"inputs":${inputs}}`;
}

/**
 * Returns the number of pending executions, delayed ones included, counted up to `most`. Index:
 * workflow_executions_open.
 */
export async function countPending(db: Db, most: number): Promise<number> {
  const { rows } = await db.query({
    name: 'count_pending',
    text: `select count(*) from (select 1 from workflow_executions where status = 'pending' limit $1::bigint) p`,
    values: [most],
  });
  return Number(rows[0].count);
}

// biome-ignore lint/suspicious/noExplicitAny: a row from the driver
export function toHead(row: any): ExecutionHead {
  return {
    id: row.id,
    templateId: row.workflow_template_id,
    template: row.name,
    version: row.version,
    workspaceId: row.workspace_id,
    userId: row.user_id,
    status: row.status,
    stopRequested: row.stop_requested,
    pause: row.is_paused ? { by: row.paused_by } : null,
    tags: row.tags,
    createdAt: row.created_at,
    startedAt: row.started_at,
    completedAt: row.completed_at,
    resumedAt: row.resumed_at,
    parent:
      row.parent_step_id === null
        ? null
        : { executionId: row.parent_execution_id, stepId: row.parent_step_id },
    rootId: row.root_id,
    forkedFrom: row.forked_from,
  };
}
