/**
 * Statements on workflow_scope_items: the items of a holder are stored once, some in each row, and a scope reads its own.
 */
import { jsonArray, plainArray } from '../array-literal.ts';
import type { Db } from '../connection/client.ts';
import type { Statement } from '../statement.ts';

export interface StoredItems {
  readonly stepId: string;
  readonly firstIndex: number;
  /** A JSON array as text. */
  readonly items: string;
}

/** Items that are stored again replace those of an earlier run. */
export function insertItems(rows: readonly StoredItems[]): Statement {
  return {
    name: 'insert_scope_items',
    text: `insert into workflow_scope_items (step_execution_id, first_index, items)
           select * from unnest($1::uuid[], $2::integer[], $3::jsonb[])
           on conflict (step_execution_id, first_index) do update set items = excluded.items`,
    values: [
      plainArray(rows.map(({ stepId }) => stepId)),
      plainArray(rows.map(({ firstIndex }) => firstIndex)),
      jsonArray(rows.map(({ items }) => items)),
    ],
  };
}

/** Returns the row that has the item of an index, as JSON text. */
export async function readItems(
  db: Db,
  stepId: string,
  index: number,
): Promise<{ firstIndex: number; items: string } | null> {
  const { rows } = await db.query({
    name: 'read_scope_items',
    text: `select first_index, items::text as items from workflow_scope_items
            where step_execution_id = $1 and first_index <= $2 order by first_index desc limit 1`,
    values: [stepId, index],
  });
  const [row] = rows;
  return row === undefined ? null : { firstIndex: row.first_index, items: row.items };
}
