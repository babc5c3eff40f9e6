/**
 * Statements on workflow_held_scopes, the numbers of a holder's scopes. They are written under the lock, or the sequence
 * guard, of the view that the holder is in.
 */
import type { ScopeFailure } from '../../core/event.ts';
import type { HeldScopes } from '../../core/scopes/held-scopes.ts';
import { jsonArray, plainArray, textArray } from '../array-literal.ts';
import type { Db } from '../connection/client.ts';
import type { Statement } from '../statement.ts';

export interface HeldWrite {
  readonly stepId: string;
  readonly held: HeldScopes;
}

const WRITE = `
  insert into workflow_held_scopes (step_execution_id, run, total, next_index, again, open_count, completed_count,
                                    failed_count, cancelled_count, concurrency, tolerated, first_failure,
                                    parts, list_bytes, undo_next, undo_open)
  select id, run, total, next_index, again::integer[], open_count, completed_count, failed_count, cancelled_count,
         concurrency, tolerated, first_failure, parts::integer[], list_bytes::double precision[], undo_next, undo_open
    from unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[], $5::text[], $6::integer[], $7::integer[],
                $8::integer[], $9::integer[], $10::integer[], $11::integer[], $12::jsonb[], $13::text[],
                $14::text[], $15::integer[], $16::integer[])
      as t(id, run, total, next_index, again, open_count, completed_count, failed_count, cancelled_count, concurrency,
           tolerated, first_failure, parts, list_bytes, undo_next, undo_open)
  on conflict (step_execution_id) do update
     set run = excluded.run, total = excluded.total, next_index = excluded.next_index, again = excluded.again,
         open_count = excluded.open_count, completed_count = excluded.completed_count,
         failed_count = excluded.failed_count, cancelled_count = excluded.cancelled_count,
         concurrency = excluded.concurrency, tolerated = excluded.tolerated, first_failure = excluded.first_failure,
         parts = excluded.parts, list_bytes = excluded.list_bytes, undo_next = excluded.undo_next,
         undo_open = excluded.undo_open`;

export function writeHeldScopes(rows: readonly HeldWrite[]): Statement {
  const all = rows.map(({ held }) => held);
  return {
    name: 'write_held_scopes',
    text: WRITE,
    values: [
      plainArray(rows.map(({ stepId }) => stepId)),
      plainArray(all.map(({ run }) => run)),
      plainArray(all.map(({ total }) => total)),
      plainArray(all.map(({ next }) => next)),
      textArray(all.map(({ again }) => plainArray(again))),
      plainArray(all.map(({ open }) => open)),
      plainArray(all.map(({ completed }) => completed)),
      plainArray(all.map(({ failed }) => failed)),
      plainArray(all.map(({ cancelled }) => cancelled)),
      plainArray(all.map(({ concurrency }) => concurrency)),
      plainArray(all.map(({ tolerated }) => tolerated)),
      jsonArray(all.map(({ first }) => (first === null ? null : JSON.stringify(first)))),
      textArray(all.map(({ parts }) => (parts === undefined ? null : plainArray(parts)))),
      textArray(
        all.map(({ list }) =>
          list === undefined ? null : plainArray([list.max, list.completed, list.failed]),
        ),
      ),
      plainArray(all.map(({ undoing }) => undoing?.next ?? null)),
      plainArray(all.map(({ undoing }) => undoing?.open ?? null)),
    ],
  };
}

const READ = `
  select step_execution_id, run, total, next_index, again, open_count, completed_count, failed_count, cancelled_count,
         concurrency, tolerated, first_failure, parts, list_bytes, undo_next, undo_open
    from workflow_held_scopes where step_execution_id = any($1::uuid[])`;

/** Returns the numbers of those steps that hold scopes, by the step's id. */
export async function readHeldScopes(db: Db, stepIds: readonly string[]): Promise<Map<string, HeldScopes>> {
  if (stepIds.length === 0) return new Map();
  const { rows } = await db.query({ name: 'read_held_scopes', text: READ, values: [plainArray(stepIds)] });
  return new Map(
    rows.map((row): [string, HeldScopes] => [
      row.step_execution_id,
      {
        run: row.run,
        total: row.total,
        next: row.next_index,
        again: row.again,
        open: row.open_count,
        completed: row.completed_count,
        failed: row.failed_count,
        cancelled: row.cancelled_count,
        concurrency: row.concurrency,
        tolerated: row.tolerated,
        first: row.first_failure as ScopeFailure | null,
        undoing: row.undo_next === null ? null : { next: row.undo_next, open: row.undo_open },
        ...(row.parts === null ? {} : { parts: row.parts }),
        ...listOf(row.list_bytes),
      },
    ]),
  );
}

function listOf(bytes: readonly [number, number, number] | null): Pick<HeldScopes, 'list'> {
  if (bytes === null) return {};
  const [max, completed, failed] = bytes;
  return { list: { max, completed, failed } };
}
