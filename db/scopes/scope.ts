/**
 * Statements on workflow_scopes: one function each. Like those on executions they name the sequence that a write was
 * decided on, and fail the transaction when it has changed.
 */
import type { ScopeStatus } from '../../core/scopes/scope-status.ts';
import type { DueStatus, ExecutionFailure, ScopeId } from '../../core/view.ts';
import { jsonArray, plainArray, textArray } from '../array-literal.ts';
import { momentOf } from '../clock.ts';
import type { Db } from '../connection/client.ts';
import { guarded, type Statement } from '../statement.ts';

export interface ScopeWrite extends ScopeId {
  readonly run: number;
  readonly status: ScopeStatus;
  /** JSON text; null: none. */
  readonly outputs: string | null;
  /** JSON text; null: none. */
  readonly error: string | null;
}

export interface ScopeInsert extends ScopeWrite {
  readonly executionId: string;
  readonly path: string;
  readonly part: number;
  readonly sequence: number;
}

/** A scope of an earlier run is opened anew in its row. */
const INSERT = guarded(
  `insert into workflow_scopes (step_execution_id, index, workflow_execution_id, path, run, status, sequence, outputs,
                                error, part, created_at, completed_at)
   select holder, index, execution_id, path, run, status, sequence, outputs, error, part, ${momentOf(10)},
          case when status <> 'running' then ${momentOf(10)} end
     from unnest($1::uuid[], $2::integer[], $3::uuid[], $4::text[], $5::integer[], $6::text[], $7::bigint[], $8::jsonb[],
                 $9::jsonb[], $12::integer[])
       as t(holder, index, execution_id, path, run, status, sequence, outputs, error, part)
   on conflict (step_execution_id, index) do update
      set first_sequence = workflow_scopes.first_sequence + workflow_scopes.sequence, run = excluded.run,
          status = excluded.status, sequence = excluded.sequence, outputs = excluded.outputs,
          error = excluded.error, created_at = excluded.created_at, completed_at = excluded.completed_at,
          stop_requested_at = null
    where workflow_scopes.run < excluded.run and workflow_scopes.status in ('failed', 'cancelled')`,
  11,
);

/** @param at see db/clock.ts */
export function insertScopes(rows: readonly ScopeInsert[], at: string | null): Statement {
  return {
    name: 'insert_scopes',
    text: INSERT,
    values: [
      plainArray(rows.map((row) => row.holderId)),
      plainArray(rows.map((row) => row.index)),
      plainArray(rows.map((row) => row.executionId)),
      textArray(rows.map((row) => row.path)),
      plainArray(rows.map((row) => row.run)),
      plainArray(rows.map((row) => row.status)),
      plainArray(rows.map((row) => row.sequence)),
      jsonArray(rows.map((row) => row.outputs)),
      jsonArray(rows.map((row) => row.error)),
      at,
      rows.length,
      plainArray(rows.map((row) => row.part)),
    ],
  };
}

export interface ScopeChange extends ScopeWrite {
  readonly fromSequence: number;
  /** Its scope's depth: locks are taken by depth, then by holder and index. */
  readonly depth: number;
}

const CHANGE = guarded(
  `update workflow_scopes c
      set sequence = c.sequence + 1, status = u.status, outputs = u.outputs, error = u.error,
          completed_at = case when u.status <> 'running' then greatest(${momentOf(8)}, c.created_at) end
     from (select * from unnest($1::uuid[], $2::integer[], $3::integer[], $4::bigint[], $5::text[], $6::jsonb[], $7::jsonb[],
                                $10::integer[])
             as t(holder, index, run, from_sequence, status, outputs, error, depth)
            order by depth, holder, index) u
    where c.step_execution_id = u.holder and c.index = u.index and c.run = u.run and c.sequence = u.from_sequence
      and c.status = 'running'`,
  9,
);

/** Counts transitions of open scopes, and ends those that are over. @param at see db/clock.ts */
export function changeScopes(rows: readonly ScopeChange[], at: string | null): Statement {
  return {
    name: 'change_scopes',
    text: CHANGE,
    values: [
      plainArray(rows.map((row) => row.holderId)),
      plainArray(rows.map((row) => row.index)),
      plainArray(rows.map((row) => row.run)),
      plainArray(rows.map((row) => row.fromSequence)),
      plainArray(rows.map((row) => row.status)),
      jsonArray(rows.map((row) => row.outputs)),
      jsonArray(rows.map((row) => row.error)),
      at,
      rows.length,
      plainArray(rows.map((row) => row.depth)),
    ],
  };
}

export interface LoadedScope extends ScopeId {
  readonly executionId: string;
  readonly path: string;
  readonly part: number;
  readonly run: number;
  readonly status: ScopeStatus;
  readonly sequence: number;
  readonly isStopping: boolean;
  /** Of a compensating scope: the status that it had; else null. */
  readonly due: DueStatus | null;
  readonly error: ExecutionFailure | null;
  /** The holder: its template, and the scope it is in. */
  readonly holderTemplateId: string;
  readonly around: ScopeId | null;
}

const LOADED = `
  select c.step_execution_id, c.index, c.workflow_execution_id, c.path, c.part, c.run, c.status, c.sequence, c.error, c.due_status,
         c.stop_requested_at is not null as stopping, h.step_template_id, h.holder_id, h.scope
    from unnest($1::uuid[], $2::integer[]) as u(holder, index)
    join workflow_scopes c on c.step_execution_id = u.holder and c.index = u.index
    join workflow_step_executions h on h.id = c.step_execution_id`;

/** Returns those of the scopes that exist, without a lock. */
export async function readScopes(db: Db, scopes: readonly ScopeId[]): Promise<LoadedScope[]> {
  return toScopes(db, 'read_scopes', LOADED, scopes);
}

/** Locks scopes in their order. @param passOver skips those that are already locked */
export async function lockScopes(
  tx: Db,
  scopes: readonly ScopeId[],
  passOver = false,
): Promise<LoadedScope[]> {
  const text = `${LOADED} order by cardinality(string_to_array(c.path, '/')), c.step_execution_id, c.index for no key update of c`;
  return passOver
    ? toScopes(tx, 'lock_free_scopes', `${text} skip locked`, scopes)
    : toScopes(tx, 'lock_scopes', text, scopes);
}

async function toScopes(
  db: Db,
  name: string,
  text: string,
  scopes: readonly ScopeId[],
): Promise<LoadedScope[]> {
  if (scopes.length === 0) return [];
  const values = [
    plainArray(scopes.map(({ holderId }) => holderId)),
    plainArray(scopes.map(({ index }) => index)),
  ];
  const { rows } = await db.query({ name, text, values });
  return rows.map((row) => ({
    holderId: row.step_execution_id,
    index: row.index,
    executionId: row.workflow_execution_id,
    path: row.path,
    part: row.part,
    run: row.run,
    status: row.status,
    sequence: row.sequence,
    isStopping: row.stopping,
    due: row.due_status,
    error: row.error,
    holderTemplateId: row.step_template_id,
    around: scopeOfStep(row.holder_id, row.scope),
  }));
}

/** The scope of a step, by its row; null: the top level. */
export function scopeOfStep(holderId: string | null, path: string): ScopeId | null {
  if (holderId === null) return null;
  return { holderId, index: Number(path.slice(path.lastIndexOf('[') + 1, -1)) };
}
