/**
 * Lists executions, without their payloads.
 *
 * Invariant 1: a page looks at a bounded number of rows, whatever the filter and the number of executions. When it has seen so
 * many, it ends early: it has fewer rows than asked for, and says where to go on.
 * Invariant 2: all pages together have every execution that was there all the time once.
 *
 * A page comes from one of two kinds of sources (list-conditions.ts): a small one, which is read whole and sorted, or one in
 * the order of the list.
 */
import type { Db } from '../connection/client.ts';
import { type ExecutionListRow, HEAD, toHead } from '../execution-queries.ts';
import {
  afterKey,
  allConditions,
  type ExecutionListFilter,
  type FoundNames,
  inOrder,
  type ListKey,
  type ListOrder,
  ORDERS,
  type OrderedSource,
  orderedSources,
  Parameters,
  type Source,
  smallSources,
} from './list-conditions.ts';

export interface ListPage {
  readonly filter: ExecutionListFilter;
  readonly names: FoundNames;
  readonly order: ListOrder;
  /** The last row of the page before; null: the first page. */
  readonly after: ListKey | null;
  readonly limit: number;
}

export interface ListedExecution extends ExecutionListRow {
  readonly key: ListKey;
}

export interface ListResult {
  readonly rows: readonly ListedExecution[];
  /** Where the next page begins; null: there is none. */
  readonly next: ListKey | null;
}

export interface ListBounds {
  /** Rows that are read whole to be sorted. */
  readonly sorted: number;
  /** Rows that one page looks at. */
  readonly seen: number;
  /** Of these, rows at the end that the next page looks at again: so many may be deleted between two statements. */
  readonly overlap: number;
  /** Executions that are found by their whole id, key, tag, error code or template. */
  readonly exact: number;
}

export const LIST_BOUNDS: ListBounds = { sorted: 10_000, seen: 10_000, overlap: 1_000, exact: 2_000 };

/** Returns a page; null: it cannot be sorted so, as there are too many rows and no index has that order. */
export async function listExecutions(
  db: Db,
  page: ListPage,
  bounds: ListBounds = LIST_BOUNDS,
): Promise<ListResult | null> {
  const { filter, names, order } = page;
  for (const source of smallSources(filter, names, order)) {
    if (await isSmall(db, source, bounds)) return readSorted(db, page, source);
  }
  if (order === 'duration' && (filter.parent ?? filter.root) !== undefined) return null;
  return readInOrder(db, page, bounds);
}

async function isSmall(db: Db, source: Source, { sorted }: ListBounds): Promise<boolean> {
  const p = new Parameters();
  const text = `select count(*) as count from (select 1 from workflow_executions e where ${source(p)} limit ${sorted + 1}) x`;
  const { rows } = await db.query(text, p.values);
  return Number(rows[0].count) <= sorted;
}

/** By the names of COLUMNS. */
const ORDER_OF_ROWS: Readonly<Record<ListOrder, string>> = {
  created: 'e.created_at desc, e.id desc',
  duration: 'e.duration desc, e.id desc',
  id: 'e.id desc',
};
/** The columns that conditions read. */
const COLUMNS = `e.id, e.workflow_template_id, e.workspace_id, e.status, e.tags, e.created_at, e.started_at, e.completed_at,
  e.completed_at - e.started_at as duration, e.parent_execution_id, e.parent_step_id, e.root_execution_id, e.error,
  e.idempotency_key, e.removed_at`;

/** `offset 0` keeps the planner from another index. */
async function readSorted(db: Db, page: ListPage, source: Source): Promise<ListResult> {
  const p = new Parameters();
  const from = `(select ${COLUMNS} from workflow_executions e where ${source(p)} offset 0)`;
  const rows = await readRows(db, page, from, p);
  return pageOf(rows, page.limit, null);
}

async function readInOrder(db: Db, page: ListPage, { seen, overlap }: ListBounds): Promise<ListResult> {
  const { filter, names, order, after, limit } = page;
  const sources = orderedSources(filter, names, order);
  const maxOfEach = Math.ceil(seen / sources.length);
  const p = new Parameters();
  const parts = sources.map(
    (source) => `(select ${COLUMNS} ${inOrder(source, filter, order, after, p)} limit ${maxOfEach})`,
  );
  // With one value in each of its first columns, an index has the order of the others: the planner must be told.
  const first = sources.length === 1 ? sources[0]!.prefix.map(([column]) => `${column} desc, `).join('') : '';
  const rows = await readRows(db, page, `(${parts.join(' union all ')})`, p, first + ORDER_OF_ROWS[order]);
  if (sources.length === 1 && rows.length > limit) return pageOf(rows, limit, null);
  const offset = maxOfEach - Math.ceil(overlap / sources.length);
  const ends = await Promise.all(sources.map((source) => readEnd(db, source, page, offset)));
  const end = earliest(ends);
  // All that comes after it is on a later page: another source may have rows in between.
  const found = end === null ? rows : rows.filter(({ key }) => !isBefore(end, key));
  return pageOf(found, limit, end);
}

/** Returns the key of the row that is so far behind the beginning of a page; null: there are fewer rows. */
async function readEnd(db: Db, source: OrderedSource, page: ListPage, offset: number) {
  const { filter, order, after } = page;
  const p = new Parameters();
  const { rows } = await db.query(
    `select e.id, ${ORDERS[order].micros} as micros ${inOrder(source, filter, order, after, p)} offset ${offset} limit 1`,
    p.values,
  );
  return rows.length === 0 ? null : keyOf(rows[0]);
}

/** Returns the place up to which every source was looked through; null: all of them to their end. */
function earliest(ends: readonly (ListKey | null)[]): ListKey | null {
  const known = ends.filter((end) => end !== null);
  return known.length === 0 ? null : known.reduce((a, b) => (isBefore(a, b) ? a : b));
}

/** Whether a row comes earlier in a list. */
function isBefore(a: ListKey, b: ListKey): boolean {
  const difference = BigInt(a.micros) - BigInt(b.micros);
  return difference > 0n || (difference === 0n && a.id > b.id);
}

/** @param from rows with all COLUMNS */
async function readRows(
  db: Db,
  { filter, names, order, after, limit }: ListPage,
  from: string,
  p: Parameters,
  by = ORDER_OF_ROWS[order],
): Promise<ListedExecution[]> {
  const where = allConditions(filter, names, order, p);
  if (after !== null) where.push(afterKey(order, after, p));
  const { rows } = await db.query(
    `select ${HEAD}, e.error, l.micros
       from (select e.id, row_number() over (order by ${ORDERS[order].by} desc, e.id desc) as place, ${ORDERS[order].micros} as micros
               from (select e.id, e.created_at, e.started_at, e.completed_at from ${from} e
                      where ${where.join(' and ')} order by ${by} limit ${p.add(limit + 1)}) e) l
       join workflow_executions e on e.id = l.id
       join workflow_templates t on t.id = e.workflow_template_id
      order by l.place`,
    p.values,
  );
  return rows.map((row) => ({ ...toHead(row), error: row.error, key: keyOf(row) }));
}

function keyOf({ micros, id }: { micros: string; id: string }): ListKey {
  return { micros, id };
}

/** @param end where the next page begins when all rows fit; null: there is none */
function pageOf(rows: readonly ListedExecution[], limit: number, end: ListKey | null): ListResult {
  if (rows.length <= limit) return { rows, next: end };
  const shown = rows.slice(0, limit);
  return { rows: shown, next: shown.at(-1)!.key };
}
