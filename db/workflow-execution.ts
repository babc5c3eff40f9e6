/**
 * Statements on workflow_executions: one function each, guarded by status and sequence.
 *
 * The row's `sequence` counts the execution's transitions. A write names the sequence it was
 * decided on; when another process was faster the statement changes no row and the transaction fails.
 */
import type { ParentRef } from '../core/children/parent.ts';
import type { ExecutionStatus } from '../core/status.ts';
import type { DueStatus, ExecutionRow } from '../core/view.ts';
import { jsonArray, plainArray, textArray } from './array-literal.ts';
import { momentOf } from './clock.ts';
import type { Db } from './connection/client.ts';
import { guarded, type Statement } from './statement.ts';

export interface ExecutionInsert {
  readonly id: string;
  readonly templateId: string;
  readonly status: 'pending' | 'running';
  readonly sequence: number;
  /** JSON text. */
  readonly inputs: string;
  readonly userId: string | null;
  readonly workspaceId: string | null;
  readonly priority: number;
  readonly tags: readonly string[];
  readonly idempotencyKey: string | null;
  readonly requestedVersion: number | null;
  readonly callbackUrl: string | null;
  /** Milliseconds from now, an instant (ISO 8601), or null: at once. */
  readonly startAfter: number | string | null;
}

const INSERT = guarded(
  `insert into workflow_executions
     (id, workflow_template_id, status, sequence, inputs, user_id, workspace_id, priority, tags,
      idempotency_key, requested_version, callback_url, start_after, started_at)
   select id, template_id, status, sequence, inputs, user_id, workspace_id, priority, tags::text[],
          idempotency_key, requested_version, callback_url,
          coalesce(start_after, ${momentOf(15)} + start_after_ms * interval '1 millisecond'),
          case when status = 'running' then ${momentOf(15)} end
     from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::jsonb[], $6::uuid[], $7::uuid[], $8::integer[],
                 $9::text[], $10::text[], $11::integer[], $12::text[], $13::timestamptz[],
                 $14::double precision[])
       as t(id, template_id, status, sequence, inputs, user_id, workspace_id, priority, tags,
            idempotency_key, requested_version, callback_url, start_after, start_after_ms)
   on conflict do nothing`,
  16,
);

/** Fails the transaction when an idempotency key is taken. @param at see db/clock.ts */
export function insertExecutions(rows: readonly ExecutionInsert[], at: string | null = null): Statement {
  return {
    name: 'insert_executions',
    text: INSERT,
    values: [
      plainArray(rows.map((row) => row.id)),
      plainArray(rows.map((row) => row.templateId)),
      plainArray(rows.map((row) => row.status)),
      plainArray(rows.map((row) => row.sequence)),
      jsonArray(rows.map((row) => row.inputs)),
      plainArray(rows.map((row) => row.userId)),
      plainArray(rows.map((row) => row.workspaceId)),
      plainArray(rows.map((row) => row.priority)),
      textArray(rows.map((row) => textArray(row.tags))),
      textArray(rows.map((row) => row.idempotencyKey)),
      plainArray(rows.map((row) => row.requestedVersion)),
      textArray(rows.map((row) => row.callbackUrl)),
      textArray(rows.map(({ startAfter }) => (typeof startAfter === 'string' ? startAfter : null))),
      plainArray(rows.map(({ startAfter }) => (typeof startAfter === 'number' ? startAfter : null))),
      at,
      rows.length,
    ],
  };
}

const ADVANCE = guarded(
  `update workflow_executions e
      set sequence = e.sequence + 1, updated_at = ${momentOf(3)}
     from (select id, from_sequence from unnest($1::uuid[], $2::bigint[]) as t(id, from_sequence) order by id) u
    where e.id = u.id and e.sequence = u.from_sequence and e.status || '' = 'running'`,
  4,
);

/**
 * Counts a transition of running executions with no other change to their rows. Locks the rows in id order.
 *
 * The status is compared as an expression so that no index on it can be used: a plan made while the table was
 * small scanned all running executions for each row, 55 ms where the primary key takes 3.
 * @param at see db/clock.ts
 */
export function advanceExecutions(
  rows: readonly { id: string; fromSequence: number }[],
  at: string | null = null,
): Statement {
  return {
    name: 'advance_executions',
    text: ADVANCE,
    values: [
      plainArray(rows.map((row) => row.id)),
      plainArray(rows.map((row) => row.fromSequence)),
      at,
      rows.length,
    ],
  };
}

export interface ExecutionChange {
  readonly id: string;
  readonly fromSequence: number;
  readonly fromStatus: ExecutionStatus;
  readonly status: ExecutionStatus;
  readonly begun: boolean;
  readonly stopping: boolean;
  readonly stopReason: string | null;
  readonly ended: boolean;
  /** JSON text; null: none. */
  readonly outputs: string | null;
  /** JSON text of `{ code, message, step }`; null: none. */
  readonly error: string | null;
}

const CHANGE = guarded(
  `update workflow_executions e
      set sequence = e.sequence + 1,
          status = u.status,
          started_at = case when u.begun then greatest(${momentOf(11)}, e.created_at) else e.started_at end,
          stop_requested_at = case when u.stopping then ${momentOf(11)} else e.stop_requested_at end,
          stop_reason = coalesce(u.stop_reason, e.stop_reason),
          completed_at = case when u.ended then greatest(${momentOf(11)}, e.created_at, e.started_at) end,
          outputs = u.outputs,
          error = u.error,
          updated_at = ${momentOf(11)}
     from (select * from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::boolean[], $6::boolean[],
                                $7::text[], $8::boolean[], $9::jsonb[], $10::jsonb[])
             as t(id, from_sequence, from_status, status, begun, stopping, stop_reason, ended, outputs, error)
            order by id) u
    where e.id = u.id and e.sequence = u.from_sequence and e.status = u.from_status`,
  12,
);

/**
 * Moves executions between statuses. Locks the rows in id order.
 *
 * `at` may lie before the row's last change: the times of a row still never run backwards.
 * @param at see db/clock.ts
 */
export function changeExecutions(rows: readonly ExecutionChange[], at: string | null = null): Statement {
  return {
    name: 'change_executions',
    text: CHANGE,
    values: [
      plainArray(rows.map((row) => row.id)),
      plainArray(rows.map((row) => row.fromSequence)),
      plainArray(rows.map((row) => row.fromStatus)),
      plainArray(rows.map((row) => row.status)),
      plainArray(rows.map((row) => row.begun)),
      plainArray(rows.map((row) => row.stopping)),
      textArray(rows.map((row) => row.stopReason)),
      plainArray(rows.map((row) => row.ended)),
      jsonArray(rows.map((row) => row.outputs)),
      jsonArray(rows.map((row) => row.error)),
      at,
      rows.length,
    ],
  };
}

const SET_DUE = `
  update workflow_executions e set due_status = u.due
    from unnest($1::uuid[], $2::text[]) as u(id, due) where e.id = u.id and e.status = 'compensating'`;

/** Writes the status that follows, for executions that the same commit makes compensating. */
export function setDue(rows: readonly { id: string; due: DueStatus }[]): Statement {
  return {
    name: 'set_due',
    text: SET_DUE,
    values: [plainArray(rows.map(({ id }) => id)), plainArray(rows.map(({ due }) => due))],
  };
}

export interface LoadedExecution extends ExecutionRow {
  readonly templateId: string;
  readonly workspaceId: string | null;
  readonly priority: number;
  readonly callbackUrl: string | null;
  /** Milliseconds since it began; null: it has not. */
  readonly runMs: number | null;
  readonly parent: ParentRef | null;
  /** How often it was retried. */
  readonly resumes: number;
}

const READ = `
  select id, workflow_template_id, status, sequence, resume_count, workspace_id, priority, callback_url, error, due_status,
         case when is_awaited then parent_execution_id end as parent_id, parent_scope, parent_step_id, parent_attempt,
         coalesce(parent_compensates, false) as parent_compensates,
         stop_requested_at is not null as stopping, stop_reason, paused_at is not null as is_paused, paused_by,
         (extract(epoch from clock_timestamp() - started_at) * 1000)::double precision as run_ms
    from workflow_executions
   where id = any($1::uuid[]) and removed_at is null`;

const LOCK = `${READ}
   order by id
     for no key update`;

/**
 * Locks executions in id order, so that two engines that need the same ones wait instead of deadlocking.
 * @param passOver skips executions that are already locked
 */
export function lockExecutions(tx: Db, ids: readonly string[], passOver = false): Promise<LoadedExecution[]> {
  return passOver
    ? loadExecutions(tx, 'lock_free_executions', `${LOCK} skip locked`, ids)
    : loadExecutions(tx, 'lock_executions', LOCK, ids);
}

/** Returns the same without a lock: for what never changes. */
export function readExecutions(db: Db, ids: readonly string[]): Promise<LoadedExecution[]> {
  return loadExecutions(db, 'read_executions', READ, ids);
}

/** Returns the same, with locks that keep executions from being paused or resumed until the end of the transaction. */
export function holdExecutions(tx: Db, ids: readonly string[], passOver = false): Promise<LoadedExecution[]> {
  const text = `${READ}\n   order by id\n     for key share`;
  return passOver
    ? loadExecutions(tx, 'hold_free_executions', `${text} skip locked`, ids)
    : loadExecutions(tx, 'hold_executions', text, ids);
}

async function loadExecutions(
  db: Db,
  name: string,
  text: string,
  ids: readonly string[],
): Promise<LoadedExecution[]> {
  if (ids.length === 0) return [];
  const { rows } = await db.query({ name, text, values: [plainArray(ids)] });
  return rows.map((row) => ({
    id: row.id,
    templateId: row.workflow_template_id,
    status: row.status,
    sequence: row.sequence,
    workspaceId: row.workspace_id,
    priority: row.priority,
    callbackUrl: row.callback_url,
    runMs: row.run_ms,
    resumes: row.resume_count,
    parent: row.parent_id === null ? null : parentOf(row),
    stopRequested: row.stopping ? { reason: row.stop_reason } : null,
    failure: row.error,
    pause: row.is_paused ? { by: row.paused_by } : null,
    due: row.status === 'compensating' ? row.due_status : null,
  }));
}

// biome-ignore lint/suspicious/noExplicitAny: a row from the driver
function parentOf(row: any): ParentRef {
  return {
    view: row.parent_scope === '' ? row.parent_id : `${row.parent_id}/${row.parent_scope}`,
    stepId: row.parent_step_id,
    attempt: row.parent_attempt,
    isCompensating: row.parent_compensates,
  };
}

/** Returns those of the ids that exist. */
export async function existingExecutions(db: Db, ids: readonly string[]): Promise<Set<string>> {
  if (ids.length === 0) return new Set();
  const { rows } = await db.query('select id from workflow_executions where id = any($1::uuid[])', [
    plainArray(ids),
  ]);
  return new Set(rows.map((row) => row.id));
}

/** Limits by the stored size first, since that is known without decompression. */
const INPUTS = `
  with sizes as materialized (
    select e.id, n, sum(coalesce(pg_column_size(e.inputs), 0)) over (order by n)
                      - coalesce(pg_column_size(e.inputs), 0) as before
      from unnest($1::uuid[]) with ordinality as wanted(id, n) join workflow_executions e using (id)
  ), texts as materialized (
    select s.id, s.n, coalesce(e.inputs::text, '{}') as inputs
      from sizes s join workflow_executions e using (id)
     where s.before <= $2::bigint or $2 is null
  )
  select id, inputs
    from (select id, inputs, sum(octet_length(inputs)) over (order by n) - octet_length(inputs) as before
            from texts) t
   where before <= $2::bigint or $2 is null`;

/**
 * Returns inputs of executions as JSON text, by id.
 * @param maxBytes those beyond it are left out, in the order of `ids`, except the first; null: no limit
 */
export async function readManyInputs(
  db: Db,
  ids: readonly string[],
  maxBytes: number | null,
): Promise<Map<string, string>> {
  const { rows } = await db.query({
    name: 'read_inputs',
    text: INPUTS,
    values: [plainArray(ids), maxBytes],
  });
  return new Map(rows.map((row) => [row.id, row.inputs]));
}
