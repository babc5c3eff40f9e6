/**
 * The list of executions against an oracle: whatever the filter and the size of a page, all pages together are what a scan of
 * all rows finds, in order, though each page looks at few rows.
 */
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import pg from 'pg';
import type { ExecutionStatus } from '../../../core/status.ts';
import { LIST_BOUNDS, type ListBounds } from '../../../db/executions/list.ts';
import type { ExecutionFilter, ExecutionListItem } from '../../../services/execution-answers.ts';
import { pageOfExecutions } from '../../../services/executions/execution-list.ts';
import { cases } from '../../support/core/cases.ts';
import { testDatabase } from '../../support/database/database.ts';
import { fixtureForAll } from '../../support/fixture.ts';

const ENGINE = { workspaceId: null, admin: true };
const WORKSPACES = ['aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa', 'bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb', null];
const START = Date.parse('2026-01-01T00:00:00Z');
const HOUR = 3_600_000;
const ROWS = 1_500;
/** Pages that look at few rows meet all the ends that large tables have. */
const BOUNDS: readonly ListBounds[] = [
  LIST_BOUNDS,
  { sorted: 60, seen: 90, overlap: 10, exact: 20 },
  { sorted: 0, seen: 20, overlap: 4, exact: 0 },
];

interface Row extends ExecutionListItem {
  readonly key: string | null;
  readonly removed: boolean;
  /** Microseconds. */
  readonly at: number;
}

let pool: pg.Pool;
let rows: Row[];

fixtureForAll(async (fixture) => {
  const { url } = await fixture.use(testDatabase({ migrated: true }), ({ drop }) => drop());
  pool = await fixture.use(new pg.Pool({ connectionString: url, max: 2 }), (each) => each.end());
  // The database is dropped while a connection of the pool is still closing.
  pool.on('error', () => {});
  await pool.query(FILL, [ROWS]);
  await pool.query('analyze workflow_executions');
  rows = (await pool.query(ALL)).rows.map((row) => ({
    ...row,
    at: Number(row.at),
    completed_at: iso(row.completed_at),
  }));
});

const iso = (at: Date | null) => at?.toISOString() ?? null;

/** Three templates of two versions in each of three workspaces; executions of every status, tag, age and length. */
const FILL = `
  with spaces as (
    select n, case n when 0 then 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa'::uuid when 1 then 'bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb' end as id
      from generate_series(0, 2) n),
  templates as (
    insert into workflow_templates (name, version, workspace_id, definition, definition_source, definition_hash)
    select (array['order', 'order-refund', 'rare'])[k], v, s.id, '{}', '{}', 'x'
      from spaces s, generate_series(1, 3) k, generate_series(1, 2) v
    returning id, name, workspace_id),
  numbered as (select *, row_number() over (order by name, id) as n from templates),
  made as (
    select n, (n * 7919) % 1000 as x, (n * 104729) % 997 as y, execution_engine_uuidv7() as id
      from generate_series(1, $1::int) n),
  shaped as (
    select m.*, t.id as template_id, t.workspace_id,
           case when x < 600 then 'completed' when x < 700 then 'failed' when x < 740 then 'cancelled' when x < 760 then 'timed_out'
                when x < 860 then 'pending' when x < 960 then 'running' when x < 980 then 'paused' else 'compensating' end as status,
           timestamptz '2026-01-01T00:00:00Z' + (m.n / 3) * interval '1 minute' as created_at
      from made m join numbered t on t.n = case when y < 900 then 1 + y % 12 else 13 + y % 6 end)
  insert into workflow_executions (id, workflow_template_id, workspace_id, status, created_at, started_at, completed_at, tags,
                                   idempotency_key, error, removed_at, parent_execution_id, parent_step_id, root_execution_id)
  select id, template_id, workspace_id, status, created_at,
         case when x % 17 <> 0 then created_at end,
         case when status in ('completed', 'failed', 'cancelled', 'timed_out') then created_at + (y % 50) * interval '1 second' end,
         case when x % 5 = 0 then array['red', 'team-' || x % 7] when x % 5 = 1 then array['Redder'] else '{}'::text[] end,
         case when x % 3 = 0 then 'key-' || n end,
         case when status = 'failed' then jsonb_build_object('code', (array['timeout', 'order'])[1 + y % 2], 'message', 'm', 'step', null) end,
         case when x % 50 = 7 then now() end,
         case when x % 10 = 3 then (select id from shaped where n = 1) end,
         case when x % 10 = 3 then gen_random_uuid() end,
         case when x % 10 = 3 then (select id from shaped where n = 1) end
    from shaped`;

const ALL = `
  select e.id as execution_id, e.status, t.name as template, e.workspace_id, e.tags, e.idempotency_key as key, e.started_at,
         e.completed_at, e.error, e.removed_at is not null as removed,
         (extract(epoch from e.created_at) * 1000)::bigint as at, e.parent_execution_id as parent
    from workflow_executions e join workflow_templates t on t.id = e.workflow_template_id`;

const ended = ({ status }: Row) => ['completed', 'failed', 'cancelled', 'timed_out'].includes(status);
const lasted = (row: Row) => Date.parse(row.completed_at!) - Date.parse(String(row.started_at));

function matches(
  row: Row,
  { status, template, workspace_id, tag, since, until, parent, root, sort }: ExecutionFilter,
) {
  const above = row.parent as unknown as string | null;
  return (
    !row.removed &&
    (status === undefined || row.status === status) &&
    (template === undefined || row.template === template) &&
    (workspace_id === undefined || row.workspace_id === workspace_id) &&
    (tag === undefined || row.tags.includes(tag)) &&
    (since === undefined || row.at >= Date.parse(since)) &&
    (until === undefined || row.at < Date.parse(until)) &&
    (parent === undefined || above === parent) &&
    (root === undefined || above === root || row.execution_id === root) &&
    (parent !== undefined || root !== undefined || above === null) &&
    (sort !== 'duration' || (row.completed_at !== null && row.started_at !== null))
  );
}

const texts = ({ execution_id, key, tags, template, error, ...row }: Row) => [
  execution_id,
  key,
  ...tags,
  template,
  ended(row as Row) ? error?.code : null,
];

/** Templates and codes name executions at the top alone, and templates those of the workspace that is asked for. */
function isNamed(
  { execution_id, key, tags, ...row }: Row,
  q: string,
  workspace: string | undefined,
): boolean {
  if ([execution_id, key, ...tags].includes(q)) return true;
  if (row.parent !== null) return false;
  const isOfTemplate = row.template === q && (workspace === undefined || row.workspace_id === workspace);
  return isOfTemplate || row.error?.code === q;
}

const hasPart = (row: Row, q: string) =>
  texts(row).some((text) => text?.toLowerCase().includes(q.toLowerCase()) === true);

function inOrder(list: readonly Row[], { sort, parent, root }: ExecutionFilter): string[] {
  const by = (row: Row) =>
    sort === 'duration' ? lasted(row) : parent === undefined && root === undefined ? row.at : 0;
  return list
    .toSorted((a, b) => by(b) - by(a) || (a.execution_id < b.execution_id ? 1 : -1))
    .map(({ execution_id }) => execution_id);
}

/** What a scan finds; executions that are named exactly so come first when there are few of them. */
function expected(filter: ExecutionFilter, mostExact: number): string[] {
  const all = rows.filter((row) => matches(row, filter));
  const { q, workspace_id } = filter;
  if (q === undefined) return inOrder(all, filter);
  const exactly = rows.filter((row) => isNamed(row, q, workspace_id));
  const exact = exactly.length > mostExact ? [] : exactly;
  const first = all.filter((row) => exact.includes(row));
  const then = all.filter((row) => !exact.includes(row) && hasPart(row, q));
  return [...inOrder(first, filter), ...inOrder(then, filter)];
}

async function walk(filter: ExecutionFilter, bounds: ListBounds): Promise<string[]> {
  const seen: string[] = [];
  for (let cursor: string | undefined, pages = 0; ; pages += 1) {
    const { data, next_cursor } = await pageOfExecutions(pool, ENGINE, { ...filter, cursor }, bounds);
    expect(data.length).toBeLessThanOrEqual(filter.limit!);
    seen.push(...data.map(({ execution_id }) => execution_id));
    if (next_cursor === null) return seen;
    expect(pages).toBeLessThan(ROWS);
    cursor = next_cursor;
  }
}

const instant = fc.integer({ min: -1, max: 10 }).map((hours) => new Date(START + hours * HOUR).toISOString());
const text = fc.oneof(
  fc.constantFrom(
    'red',
    'order',
    'timeout',
    'rare',
    'team-3',
    'RED',
    'ord',
    'key-1',
    'key-12',
    '%',
    'nothing',
  ),
  fc.nat({ max: ROWS - 1 }).map((at) => rows[at]!.execution_id),
  fc.nat({ max: ROWS - 1 }).map((at) => rows[at]!.execution_id.slice(24).toUpperCase()),
);
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 2 });
const STATUSES: readonly ExecutionStatus[] = [
  'completed',
  'failed',
  'timed_out',
  'pending',
  'running',
  'compensating',
];
const filters = fc.record({
  status: optional(fc.constantFrom(...STATUSES)),
  template: optional(fc.constantFrom('order', 'order-refund', 'rare', 'nobody')),
  workspace_id: optional(fc.constantFrom(...WORKSPACES.filter((id) => id !== null))),
  tag: optional(fc.constantFrom('red', 'Redder', 'team-3', 'none')),
  since: optional(instant),
  until: optional(instant),
  q: optional(text),
  sort: optional(fc.constantFrom('created_at' as const, 'duration' as const)),
  limit: fc.constantFrom(1, 7, 50, 500),
});
const ofTree = fc.constantFrom('none', 'none', 'none', 'parent', 'root');

test('all pages together are what a scan finds, in order', async () => {
  const property = fc.asyncProperty(
    filters,
    ofTree,
    fc.constantFrom(...BOUNDS),
    async (drawn, tree, bounds) => {
      const top = rows.find((row) => row.parent !== null)!.parent as unknown as string;
      const filter: ExecutionFilter = { ...drawn, ...(tree === 'none' ? {} : { [tree]: top }) };
      const isSmallOnly = tree !== 'none' && filter.sort === 'duration';
      const within = isSmallOnly ? { ...bounds, sorted: LIST_BOUNDS.sorted } : bounds;
      const limit = Math.max(filter.limit!, bounds.seen < 50 ? 7 : 1);
      expect(await walk({ ...filter, limit }, within)).toEqual(expected(filter, bounds.exact));
    },
  );
  await fc.assert(property, cases(300));
});
