/**
 * Statements on scopes that are undone. Such a scope is over: it becomes compensating, keeps its output, its error and the time
 * of its end, and gets its status back when all in it is undone.
 */
import type { ScopeStatus } from '../../core/scopes/scope-status.ts';
import type { ScopeId } from '../../core/view.ts';
import { plainArray, textArray } from '../array-literal.ts';
import type { Db } from '../connection/client.ts';
import { guarded, type Statement } from '../statement.ts';

const BEGIN = guarded(
  `update workflow_scopes c set status = 'compensating', due_status = c.status, sequence = c.sequence + 1
     from (select * from unnest($1::uuid[], $2::integer[]) as t(holder, index) order by holder, index) u
    where c.step_execution_id = u.holder and c.index = u.index and c.status in ('completed', 'failed', 'cancelled')`,
  3,
);

/** Begins to undo scopes: the view of their holder is locked, or guarded by its sequence. */
export function beginToUndo(scopes: readonly ScopeId[]): Statement {
  return {
    name: 'begin_to_undo_scopes',
    text: BEGIN,
    values: [
      plainArray(scopes.map(({ holderId }) => holderId)),
      plainArray(scopes.map(({ index }) => index)),
      scopes.length,
    ],
  };
}

export interface UndoneScopeChange extends ScopeId {
  readonly run: number;
  readonly status: ScopeStatus;
  readonly fromSequence: number;
  /** See ScopeChange. */
  readonly depth: number;
}

const CHANGE = guarded(
  `update workflow_scopes c
      set sequence = c.sequence + 1, status = u.status,
          due_status = case when u.status = 'compensating' then c.due_status end
     from (select * from unnest($1::uuid[], $2::integer[], $3::integer[], $4::bigint[], $5::text[], $6::integer[])
             as t(holder, index, run, from_sequence, status, depth)
            order by depth, holder, index) u
    where c.step_execution_id = u.holder and c.index = u.index and c.run = u.run and c.sequence = u.from_sequence
      and c.status = 'compensating'`,
  7,
);

/** Counts transitions of scopes that are being undone, and gives those their status back that are undone. */
export function changeUndoneScopes(rows: readonly UndoneScopeChange[]): Statement {
  return {
    name: 'change_undone_scopes',
    text: CHANGE,
    values: [
      plainArray(rows.map((row) => row.holderId)),
      plainArray(rows.map((row) => row.index)),
      plainArray(rows.map((row) => row.run)),
      plainArray(rows.map((row) => row.fromSequence)),
      textArray(rows.map((row) => row.status)),
      plainArray(rows.map((row) => row.depth)),
      rows.length,
    ],
  };
}

/** Scopes of these holders are undone no further: an end from above has ended those that were open. */
export async function breakOffUndoing(tx: Db, holderIds: readonly string[]): Promise<void> {
  if (holderIds.length === 0) return;
  await tx.query({
    name: 'break_off_undoing',
    text: 'update workflow_held_scopes set undo_open = 0 where step_execution_id = any($1::uuid[]) and undo_open > 0',
    values: [plainArray(holderIds)],
  });
}
