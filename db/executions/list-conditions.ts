/**
 * The conditions of a list of executions as SQL, and the indexes that find them.
 *
 * A **source** is a set of executions that an index gives. It is *ordered* when the index gives it in the order of the list;
 * what else the filter says is checked row by row.
 */
import type { ExecutionStatus } from '../../core/status.ts';
import { plainArray, textArray } from '../array-literal.ts';

/** `id`: that of children, whose indexes have no other order. */
export type ListOrder = 'created' | 'duration' | 'id';

/** The place of a row in an order. */
export interface ListKey {
  /** Microseconds: of the time since 1970, or of the duration; 0 in the order of ids. */
  readonly micros: string;
  readonly id: string;
}

export interface ExecutionListFilter {
  readonly workspaceId?: string | undefined;
  readonly status?: ExecutionStatus | undefined;
  readonly tag?: string | undefined;
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  /** Children of this execution. */
  readonly parent?: string | undefined;
  /** This execution, and all below it. */
  readonly root?: string | undefined;
}

/** What the texts of a filter stand for, as it was looked up. */
export interface FoundNames {
  /** Ids of the versions of the template; null: any template. */
  readonly templates: readonly string[] | null;
  readonly part: PartOfName | null;
  /** Only these executions; null: all. */
  readonly only: readonly string[] | null;
  /** Executions that were listed already. */
  readonly without: readonly string[];
}

/** A text that is to be part of an id, a key, a tag, an error code or the name of a template. */
export interface PartOfName {
  readonly text: string;
  /** Ids of the templates whose names have it. */
  readonly templates: readonly string[];
}

/** The values of a statement. */
export class Parameters {
  readonly values: unknown[] = [];

  add(value: unknown): string {
    this.values.push(value);
    return `$${this.values.length}`;
  }
}

const NOT_COMPLETED: ReadonlySet<string> = new Set(['failed', 'cancelled', 'timed_out']);
const AT_TOP = 'e.parent_step_id is null';
const FIRST_ID = '00000000-0000-0000-0000-000000000000';
const FINAL = `('completed', 'failed', 'cancelled', 'timed_out')`;
const OPEN: ReadonlySet<string> = new Set(['pending', 'running', 'paused', 'compensating']);
/** With more versions than these a template has no ordered source. */
const MAX_VERSIONS = 100;

const HAS_DURATION = 'e.completed_at is not null and e.started_at is not null';

/** How the value of an order is computed from a row, and made of microseconds. */
export const ORDERS: Readonly<Record<ListOrder, { by: string; value: string; micros: string }>> = {
  created: {
    by: 'e.created_at',
    value: `timestamptz 'epoch' + {}::bigint * interval '1 microsecond'`,
    micros: '(extract(epoch from e.created_at) * 1000000)::bigint::text',
  },
  duration: {
    by: '(e.completed_at - e.started_at)',
    value: `{}::bigint * interval '1 microsecond'`,
    micros: `(extract(epoch from e.completed_at - e.started_at) * 1000000)::bigint::text`,
  },
  id: { by: 'e.id', value: '{}', micros: `'0'` },
};

/** Returns the condition that a row comes after a key. */
export function afterKey(order: ListOrder, { micros, id }: ListKey, p: Parameters): string {
  if (order === 'id') return `e.id < ${p.add(id)}::uuid`;
  const { by, value } = ORDERS[order];
  return `(${by}, e.id) < (${value.replace('{}', p.add(micros))}, ${p.add(id)}::uuid)`;
}

/** Returns all conditions of a filter. */
export function allConditions(
  filter: ExecutionListFilter,
  { templates, part, only, without }: FoundNames,
  order: ListOrder,
  p: Parameters,
): string[] {
  const { workspaceId, status, tag, parent, root } = filter;
  const where = ['e.removed_at is null', ...ofTree(filter, p)];
  if (workspaceId !== undefined) where.push(`e.workspace_id = ${p.add(workspaceId)}::uuid`);
  if (status !== undefined) where.push(`e.status = '${status}'`);
  // One is compared as one: the planner then knows that its index has the order of the list.
  if (templates?.length === 1) where.push(`e.workflow_template_id = ${p.add(templates[0])}::uuid`);
  else if (templates !== null)
    where.push(`e.workflow_template_id = any(${p.add(plainArray(templates))}::uuid[])`);
  if (tag !== undefined) where.push(`e.tags @> array[${p.add(tag)}::text]`);
  where.push(...ofTime(filter, p));
  if (order === 'duration') where.push(HAS_DURATION);
  if (only !== null) where.push(`e.id = any(${p.add(plainArray(only))}::uuid[])`);
  if (without.length > 0) where.push(`e.id <> all(${p.add(plainArray(without))}::uuid[])`);
  if (part !== null) where.push(hasPart(part, p));
  if (parent === undefined && root === undefined) where.push(AT_TOP);
  return where;
}

function ofTree({ parent, root }: ExecutionListFilter, p: Parameters): string[] {
  return [
    ...(parent === undefined ? [] : [`e.parent_execution_id = ${p.add(parent)}::uuid`]),
    ...(root === undefined ? [] : [ofRoot(p.add(root))]),
  ];
}

function ofRoot(root: string): string {
  return `(e.root_execution_id = ${root}::uuid or e.id = ${root}::uuid)`;
}

function ofTime({ since, until }: ExecutionListFilter, p: Parameters): string[] {
  return [
    ...(since === undefined ? [] : [`e.created_at >= ${p.add(since)}::timestamptz`]),
    ...(until === undefined ? [] : [`e.created_at < ${p.add(until)}::timestamptz`]),
  ];
}

function hasPart({ text, templates }: PartOfName, p: Parameters): string {
  const pattern = p.add(`%${text.toLowerCase().replace(/[\\%_]/g, '\\$&')}%`);
  return `(e.id::text like ${pattern} or lower(e.idempotency_key) like ${pattern}
           or exists (select 1 from unnest(e.tags) tag where lower(tag) like ${pattern})
           or (e.status in ${FINAL} and lower(e.error ->> 'code') like ${pattern})
           or e.workflow_template_id = any(${p.add(plainArray(templates))}::uuid[]))`;
}

/** A condition that an index answers. */
export type Source = (p: Parameters) => string;

/** Sources that may be small, the one that is likely to be the smallest first. They have no order. */
export function smallSources(
  filter: ExecutionListFilter,
  { templates, only }: FoundNames,
  order: ListOrder,
): Source[] {
  const { workspaceId, status, tag, parent, root } = filter;
  const sources: Source[] = [];
  if (only !== null) return [(p) => `e.id = any(${p.add(plainArray(only))}::uuid[])`];
  if (parent !== undefined) sources.push((p) => `e.parent_execution_id = ${p.add(parent)}::uuid`);
  else if (root !== undefined) sources.push((p) => ofRoot(p.add(root)));
  if (tag !== undefined)
    sources.push((p) => `e.tags <> '{}' and e.tags @> ${p.add(textArray([tag]))}::text[]`);
  if (status !== undefined && OPEN.has(status)) sources.push(() => `e.status = '${status}'`);
  // The others have an order of their own: that of the time of creation.
  if (order !== 'duration' || parent !== undefined || root !== undefined) return sources;
  const bad = notCompleted(status);
  if (templates !== null)
    sources.push(
      (p) =>
        `e.workflow_template_id = any(${p.add(plainArray(templates))}::uuid[]) and e.parent_step_id is null${bad}`,
    );
  if (workspaceId !== undefined)
    sources.push((p) => `e.workspace_id = ${p.add(workspaceId)}::uuid and e.parent_step_id is null${bad}`);
  if (bad !== '') sources.push(() => `e.parent_step_id is null${bad}`);
  if (filter.since !== undefined)
    sources.push((p) => ['e.parent_step_id is null', ...ofTime(filter, p)].join(' and '));
  return sources;
}

function notCompleted(status: string | undefined): string {
  return status !== undefined && NOT_COMPLETED.has(status) ? ` and e.status = '${status}'` : '';
}

/** A source in the order of a list. */
export interface OrderedSource {
  /** The first columns of its index, with the one value that each has. */
  readonly prefix: readonly (readonly [column: string, value: string, type: string])[];
  readonly where: readonly string[];
}

/** Sources in the order of the list, whose rows are merged; each is looked through as far as needed. */
export function orderedSources(
  filter: ExecutionListFilter,
  { templates }: FoundNames,
  order: ListOrder,
): readonly OrderedSource[] {
  const { workspaceId, status } = filter;
  if (order !== 'created') return [{ prefix: [], where: order === 'id' ? [] : [HAS_DURATION, AT_TOP] }];
  const isBad = status !== undefined && NOT_COMPLETED.has(status);
  const ofStatus = isBad ? [['e.status', status, 'text'] as const] : [];
  const where = isBad ? [AT_TOP, `e.status in ('failed', 'cancelled', 'timed_out')`] : [AT_TOP];
  const of = (column: string, value: string) => ({
    prefix: [[column, value, 'uuid'] as const, ...ofStatus],
    where,
  });
  if (templates !== null && templates.length <= MAX_VERSIONS)
    return templates.map((id) => of('e.workflow_template_id', id));
  // Its index holds no others.
  if (workspaceId !== undefined)
    return [{ ...of('e.workspace_id', workspaceId), where: [...where, 'e.workspace_id is not null'] }];
  return [{ prefix: ofStatus, where }];
}

/**
 * Returns the rows of a source after a key, in the order of the list, as a statement without columns. Conditions and order are on
 * all columns of the index, so that the planner takes no index that has the order alone, and would look through all rows.
 */
export function inOrder(
  { prefix, where }: OrderedSource,
  filter: ExecutionListFilter,
  order: ListOrder,
  after: ListKey | null,
  p: Parameters,
): string {
  const { by, value } = ORDERS[order];
  const conditions = [...where, ...(order === 'id' ? ofTree(filter, p) : [])];
  const descending = (columns: readonly string[]) => columns.map((column) => `${column} desc`).join(', ');
  const ofOrder = order === 'id' ? ['e.id'] : [by, 'e.id'];
  if (prefix.length === 0) {
    if (after !== null) conditions.push(afterKey(order, after, p));
    if (order === 'created') conditions.push(...ofTime(filter, p));
    return `from workflow_executions e where ${conditions.join(' and ')} order by ${descending(ofOrder)}`;
  }
  const columns = prefix.map(([column]) => column);
  const values = prefix.map(([, one, type]) => `${p.add(one)}::${type}`);
  const { since, until } = filter;
  const from = `${p.add(since ?? '-infinity')}::timestamptz`;
  const to =
    after === null ? `${p.add(until ?? 'infinity')}::timestamptz` : value.replace('{}', p.add(after.micros));
  // At the very instant of `until` there is no row any more.
  const id = p.add(after === null ? FIRST_ID : after.id);
  conditions.push(
    `(${[...columns, by].join(', ')}) >= (${[...values, from].join(', ')})`,
    `(${[...columns, by, 'e.id'].join(', ')}) < (${[...values, to, `${id}::uuid`].join(', ')})`,
  );
  return `from workflow_executions e where ${conditions.join(' and ')} order by ${descending([...columns, ...ofOrder])}`;
}
