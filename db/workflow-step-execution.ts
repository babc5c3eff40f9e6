/**
 * Statements on workflow_step_executions: one function each. Every update names the expected status and claim;
 * when a row has changed since, the whole transaction fails.
 */
import type { StepStatus } from '../core/status.ts';
import { jsonArray, plainArray, textArray } from './array-literal.ts';
import { momentOf } from './clock.ts';
import type { Db } from './connection/client.ts';
import { guarded, type Statement } from './statement.ts';

export interface StepInsert {
  readonly id: string;
  readonly executionId: string;
  readonly stepTemplateId: string;
  readonly status: StepStatus;
  readonly required: number;
  /** Array literal of jsonb; null: not decided. */
  readonly received: string | null;
  readonly attempt: number;
  readonly owner: string | null;
  readonly sequence: number;
}

const INSERT = `
  insert into workflow_step_executions
    (id, workflow_execution_id, step_template_id, status, required_inputs, received_inputs, attempt_count,
     claimed_by, sequence, created_at, updated_at, started_at, completed_at)
  select id, execution_id, step_template_id, status, required, coalesce(received::jsonb[], '{}'), attempt,
         owner, sequence, ${momentOf(10)}, ${momentOf(10)},
         case when status = 'running' then ${momentOf(10)} end,
         case when status in ('skipped', 'cancelled') then ${momentOf(10)} end
    from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::integer[], $6::text[], $7::integer[], $8::uuid[],
                $9::bigint[])
      as t(id, execution_id, step_template_id, status, required, received, attempt, owner, sequence)`;

/** A step in a scope. */
export interface ScopeStepInsert extends StepInsert {
  readonly holderId: string;
  readonly scope: string;
}

const INSERT_IN_SCOPES = `
  insert into workflow_step_executions
    (id, workflow_execution_id, step_template_id, status, required_inputs, received_inputs, attempt_count,
     claimed_by, sequence, created_at, updated_at, started_at, completed_at, holder_id, scope)
  select id, execution_id, step_template_id, status, required, coalesce(received::jsonb[], '{}'), attempt,
         owner, sequence, ${momentOf(10)}, ${momentOf(10)},
         case when status = 'running' then ${momentOf(10)} end,
         case when status in ('skipped', 'cancelled') then ${momentOf(10)} end, holder, scope
    from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::integer[], $6::text[], $7::integer[], $8::uuid[],
                $9::bigint[], $11::uuid[], $12::text[])
      as t(id, execution_id, step_template_id, status, required, received, attempt, owner, sequence, holder, scope)`;

/** @param at see db/clock.ts */
export function insertScopeSteps(rows: readonly ScopeStepInsert[], at: string | null): Statement {
  const { values } = insertSteps(rows, at);
  const holders = plainArray(rows.map(({ holderId }) => holderId));
  const scopes = textArray(rows.map(({ scope }) => scope));
  return { name: 'insert_scope_steps', text: INSERT_IN_SCOPES, values: [...values, holders, scopes] };
}

/** @param at see db/clock.ts */
export function insertSteps(rows: readonly StepInsert[], at: string | null = null): Statement {
  return {
    name: 'insert_steps',
    text: INSERT,
    values: [
      plainArray(rows.map((row) => row.id)),
      plainArray(rows.map((row) => row.executionId)),
      plainArray(rows.map((row) => row.stepTemplateId)),
      plainArray(rows.map((row) => row.status)),
      plainArray(rows.map((row) => row.required)),
      textArray(rows.map((row) => row.received)),
      plainArray(rows.map((row) => row.attempt)),
      plainArray(rows.map((row) => row.owner)),
      plainArray(rows.map((row) => row.sequence)),
      at,
    ],
  };
}

export interface StepCompletion {
  readonly id: string;
  readonly attempt: number;
  readonly owner: string | null;
  /** JSON text. */
  readonly output: string;
  /** Array literal of text; null: the type has no routes. */
  readonly routes: string | null;
  readonly sequence: number;
}

const COMPLETE = guarded(
  `update workflow_step_executions s
      set status = 'completed', outputs = u.output, routes = u.routes::text[], sequence = u.sequence,
          error = null, error_code = null, error_details = null, resume_at = null,
          completed_at = greatest(${momentOf(7)}, s.started_at), updated_at = ${momentOf(7)}
     from unnest($1::uuid[], $2::integer[], $3::uuid[], $4::jsonb[], $5::text[], $6::bigint[])
            as u(id, attempt, owner, output, routes, sequence)
    where s.id = u.id and s.status = 'running' and s.attempt_count = u.attempt and s.claimed_by = u.owner`,
  8,
);

/** @param at see db/clock.ts */
export function completeSteps(rows: readonly StepCompletion[], at: string | null = null): Statement {
  return {
    name: 'complete_steps',
    text: COMPLETE,
    values: [
      plainArray(rows.map((row) => row.id)),
      plainArray(rows.map((row) => row.attempt)),
      plainArray(rows.map((row) => row.owner)),
      jsonArray(rows.map((row) => row.output)),
      textArray(rows.map((row) => row.routes)),
      plainArray(rows.map((row) => row.sequence)),
      at,
      rows.length,
    ],
  };
}

export interface StepUpdate {
  readonly id: string;
  readonly fromStatus: StepStatus;
  readonly fromAttempt: number;
  readonly fromOwner: string | null;
  readonly status: StepStatus;
  readonly attempt: number;
  readonly retries: number;
  readonly crashes: number;
  readonly owner: string | null;
  readonly parked: boolean;
  readonly sequence: number;
  readonly received: string | null;
  readonly errorCode: string | null;
  readonly error: string | null;
  /** JSON text. */
  readonly errorDetails: string | null;
  readonly timerMs: number | null;
  /** JSON text. */
  readonly parkedState: string | null;
  readonly hasDeadline: boolean;
  /** Sets the deadline; null: it stays, or is cleared with `hasDeadline`. */
  readonly deadlineMs: number | null;
  /** JSON text; null: it waits for its timer, or does not wait. */
  readonly waitingFor: string | null;
}

const UPDATE = guarded(
  `update workflow_step_executions s
      set status = u.status, attempt_count = u.attempt, retry_count = u.retries, crash_count = u.crashes,
          claimed_by = u.owner, sequence = u.sequence, updated_at = ${momentOf(18)},
          received_inputs = coalesce(u.received::jsonb[], s.received_inputs),
          error = case when u.error_code is not null then u.error when u.status in ('queued', 'running') then s.error end,
          error_code = case when u.error_code is not null then u.error_code
                            when u.status in ('queued', 'running') then s.error_code end,
          error_details = case when u.error_code is not null then u.error_details
                               when u.status in ('queued', 'running') then s.error_details end,
          started_at = case when u.attempt = 0 then null
                            when u.status = 'running' then coalesce(s.started_at, greatest(${momentOf(18)}, s.created_at)) else s.started_at end,
          attempt_started_at = case when u.attempt <= 1 then null
                                    when u.attempt > s.attempt_count or (u.status = 'running' and not u.parked)
                                    then ${momentOf(18)} else s.attempt_started_at end,
          parked_at = case when u.status = 'waiting' then ${momentOf(18)} when u.parked then s.parked_at end,
          parked_state = case when u.status = 'waiting' then u.parked_state when u.parked then s.parked_state end,
          resume_at = ${momentOf(18)} + u.timer_ms * interval '1 millisecond',
          deadline_at = case when u.deadline_ms is not null then ${momentOf(18)} + u.deadline_ms * interval '1 millisecond'
                             when u.has_deadline then s.deadline_at end,
          waiting_for = u.waiting_for,
          completed_at = case when u.status in ('completed', 'failed', 'skipped', 'cancelled')
                              then greatest(${momentOf(18)}, s.created_at, s.started_at) end
     from unnest($1::uuid[], $2::text[], $3::integer[], $4::uuid[], $5::text[], $6::integer[], $7::integer[], $8::uuid[],
                 $9::boolean[], $10::bigint[], $11::text[], $12::text[], $13::text[], $14::jsonb[],
                 $15::double precision[], $16::jsonb[], $17::integer[], $20::boolean[], $21::double precision[], $22::jsonb[])
            as u(id, from_status, from_attempt, from_owner, status, attempt, retries, owner,
                 parked, sequence, received, error_code, error, error_details, timer_ms, parked_state, crashes, has_deadline, deadline_ms, waiting_for)
    where s.id = u.id and s.status = u.from_status and s.attempt_count = u.from_attempt
      and s.claimed_by is not distinct from u.from_owner`,
  19,
);

/** Every change of a step but its completion. @param at see db/clock.ts */
export function updateSteps(rows: readonly StepUpdate[], at: string | null = null): Statement {
  return {
    name: 'update_steps',
    text: UPDATE,
    values: [
      plainArray(rows.map((row) => row.id)),
      plainArray(rows.map((row) => row.fromStatus)),
      plainArray(rows.map((row) => row.fromAttempt)),
      plainArray(rows.map((row) => row.fromOwner)),
      plainArray(rows.map((row) => row.status)),
      plainArray(rows.map((row) => row.attempt)),
      plainArray(rows.map((row) => row.retries)),
      plainArray(rows.map((row) => row.owner)),
      plainArray(rows.map((row) => row.parked)),
      plainArray(rows.map((row) => row.sequence)),
      textArray(rows.map((row) => row.received)),
      textArray(rows.map((row) => row.errorCode)),
      textArray(rows.map((row) => row.error)),
      jsonArray(rows.map((row) => row.errorDetails)),
      plainArray(rows.map((row) => row.timerMs)),
      jsonArray(rows.map((row) => row.parkedState)),
      plainArray(rows.map((row) => row.crashes)),
      at,
      rows.length,
      plainArray(rows.map((row) => row.hasDeadline)),
      plainArray(rows.map((row) => row.deadlineMs)),
      jsonArray(rows.map((row) => row.waitingFor)),
    ],
  };
}

export interface LoadedStep {
  readonly id: string;
  readonly executionId: string;
  /** Path of its scope; empty: the top level. */
  readonly scope: string;
  readonly stepTemplateId: string;
  readonly status: StepStatus;
  readonly attempt: number;
  readonly retries: number;
  readonly crashes: number;
  readonly owner: string | null;
  readonly sequence: number;
  readonly parked: boolean;
  readonly hasDeadline: boolean;
  readonly hasTimer: boolean;
  readonly routes: readonly string[] | null;
  readonly lost: boolean;
  readonly resets: number;
  readonly keyNumber: number;
  readonly byHand: boolean;
  readonly decidedElsewhere: boolean;
}

/** The columns of a LoadedStep. */
export const STATE_COLUMNS = `
  id, workflow_execution_id, scope, step_template_id, status, attempt_count, retry_count, crash_count,
  claimed_by, sequence, parked_at is not null as parked,
  deadline_at is not null and completed_at is null as has_deadline,
  (status = 'waiting' and (resume_at is not null or waiting_for is null))
    or (status = 'retrying' and resume_at is not null) as has_timer, routes, lost_race,
  reset_count, key_number, by_hand is not null as by_hand, decided_elsewhere`;

const LOAD = `
  select ${STATE_COLUMNS}
    from workflow_step_executions
   where workflow_execution_id = any($1::uuid[]) and scope = ''`;

const LOAD_OF_SCOPES = `
  select s.* from unnest($1::uuid[], $2::text[]) as u(execution_id, path)
   cross join lateral (select ${STATE_COLUMNS} from workflow_step_executions
                        where workflow_execution_id = u.execution_id and scope = u.path offset 0) s`;

/** Returns the rows from which views are rebuilt: never payloads. Uses workflow_step_executions_scope_step. */
export async function loadSteps(db: Db, executionIds: readonly string[]): Promise<LoadedStep[]> {
  const { rows } = await db.query({ name: 'load_steps', text: LOAD, values: [plainArray(executionIds)] });
  return rows.map(toLoaded);
}

/** Returns the same for scopes. */
export async function loadScopeSteps(
  db: Db,
  scopes: readonly { readonly executionId: string; readonly path: string }[],
): Promise<LoadedStep[]> {
  if (scopes.length === 0) return [];
  const values = [
    plainArray(scopes.map(({ executionId }) => executionId)),
    textArray(scopes.map(({ path }) => path)),
  ];
  const { rows } = await db.query({ name: 'load_scope_steps', text: LOAD_OF_SCOPES, values });
  return rows.map(toLoaded);
}

// biome-ignore lint/suspicious/noExplicitAny: a row from the driver
export function toLoaded(row: any): LoadedStep {
  return {
    id: row.id,
    executionId: row.workflow_execution_id,
    scope: row.scope,
    stepTemplateId: row.step_template_id,
    status: row.status,
    attempt: row.attempt_count,
    retries: row.retry_count,
    crashes: row.crash_count,
    owner: row.claimed_by,
    sequence: row.sequence,
    parked: row.parked,
    hasDeadline: row.has_deadline,
    hasTimer: row.has_timer,
    routes: row.routes,
    lost: row.lost_race,
    resets: row.reset_count,
    keyNumber: row.key_number,
    byHand: row.by_hand,
    decidedElsewhere: row.decided_elsewhere,
  };
}

export interface StepPhase {
  readonly status: StepStatus;
  readonly attempt: number;
  readonly sequence: number;
}

/** Returns the phases of those steps that exist, by id, without a lock. */
export async function readStepPhases(db: Db, ids: readonly string[]): Promise<Map<string, StepPhase>> {
  if (ids.length === 0) return new Map();
  const { rows } = await db.query({
    name: 'read_step_phases',
    text: 'select id, status, attempt_count, sequence from workflow_step_executions where id = any($1::uuid[])',
    values: [plainArray(ids)],
  });
  return new Map(
    rows.map((row) => [row.id, { status: row.status, attempt: row.attempt_count, sequence: row.sequence }]),
  );
}
