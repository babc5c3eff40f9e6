/**
 * The end of child executions: those still open, what their parent is told, and their outputs.
 */
import type { ScopeFailure } from '../../core/event.ts';
import { executionOf, type ViewKey } from '../../core/view.ts';
import { jsonArray, plainArray, textArray } from '../array-literal.ts';
import type { Db } from '../connection/client.ts';
import type { Statement } from '../statement.ts';

/** Returns SQL: whether the parent of a child waits for it, and it is not final. @param child alias of its row */
export function openChild(child: string): string {
  return `${child}.is_awaited and ${child}.status not in ('completed', 'failed', 'cancelled', 'timed_out')`;
}

/** Returns the open children of an execution that it waits for, those of its scopes too. Its row is locked. */
export async function readOpenChildren(tx: Db, executionId: string): Promise<string[]> {
  const { rows } = await tx.query({
    name: 'read_open_children',
    text: `select c.id from workflow_executions c where c.parent_execution_id = $1 and ${openChild('c')} order by c.id`,
    values: [executionId],
  });
  return rows.map(({ id }) => id);
}

/** Returns those of the executions that have open children which they waited for. */
export async function withOpenChildren(db: Db, executionIds: readonly string[]): Promise<Set<string>> {
  if (executionIds.length === 0) return new Set();
  const { rows } = await db.query({
    name: 'executions_with_open_children',
    text: `select u.id from unnest($1::uuid[]) as u(id)
            where exists (select from workflow_executions c where c.parent_execution_id = u.id and ${openChild('c')} offset 0)`,
    values: [plainArray(executionIds)],
  });
  return new Set(rows.map(({ id }) => id));
}

/**
 * Returns the open children of an execution that becomes compensating, and has them tell it their end. A child whose end is
 * in a commit on its way is final before, or loses its guard: its sequence is raised. Locked first and changed then, in two
 * statements: a join with rows whose lock was waited for may pass over some.
 */
export async function awaitOpenChildren(tx: Db, executionId: string): Promise<string[]> {
  const { rows } = await tx.query({
    name: 'lock_open_children',
    text: `select id from workflow_executions c where parent_execution_id = $1 and ${openChild('c')}
            order by id for no key update`,
    values: [executionId],
  });
  const ids: string[] = rows.map(({ id }) => id);
  if (ids.length === 0) return ids;
  await tx.query({
    name: 'await_open_children',
    text: `update workflow_executions set sequence = sequence + 1, parent_compensates = true
            where id = any($1::uuid[])`,
    values: [plainArray(ids)],
  });
  return ids;
}

/** Returns the open children that steps wait for. The views of the steps are locked. */
export async function readOpenChildrenOf(tx: Db, stepIds: readonly string[]): Promise<string[]> {
  if (stepIds.length === 0) return [];
  const { rows } = await tx.query({
    name: 'read_open_children_of_steps',
    text: `select c.id from unnest($1::uuid[]) as u(step_id)
            cross join lateral (select x.id from workflow_executions x
                                 where x.parent_step_id = u.step_id and ${openChild('x')} offset 0) c
            order by c.id`,
    values: [plainArray(stepIds)],
  });
  return rows.map(({ id }) => id);
}

/** The end of a child in the inbox of the step that waits for it. */
export interface ChildEndEvent {
  readonly child: string;
  readonly attempt: number;
  readonly failure: ScopeFailure | null;
}

export interface ChildEndRow {
  readonly id: string;
  /** The view of the step. */
  readonly key: ViewKey;
  readonly stepId: string;
  readonly event: ChildEndEvent;
}

/**
 * The step waits for this child, or never does again: a row that would be late is not written. The step's row is kept from
 * being deleted until the commit, as the row in the inbox refers to it.
 */
const INSERT_END = `
  insert into workflow_inbox (id, workflow_execution_id, scope, step_execution_id, event)
  select u.id, u.execution_id, u.scope, s.id, u.event
    from unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::integer[], $6::jsonb[])
           as u(id, execution_id, scope, step_id, attempt, event)
    join workflow_step_executions s on s.id = u.step_id and s.status = 'waiting' and s.attempt_count = u.attempt
     for key share of s`;

/**
 * A row for the parent is written only while it compensates: it may have been cancelled, and deleted since. It is found by its
 * id, and not among all that compensate. It is not locked: a join would pass over a parent that is changed at that moment.
 */
const INSERT_LAST_END = `
  insert into workflow_inbox (id, workflow_execution_id, scope, event)
  select u.id, p.id, '', u.event
    from unnest($1::uuid[], $2::uuid[], $3::jsonb[]) as u(id, execution_id, event)
    join workflow_executions p on p.id = u.execution_id and p.status || '' = 'compensating'`;

/** The end of a child for an execution that waits for its children before it undoes what it has completed. */
export interface ChildOverEvent {
  readonly over: string;
}

export interface ChildOverRow {
  readonly id: string;
  /** The view of the parent's top level. */
  readonly key: ViewKey;
  readonly event: ChildOverEvent;
}

export function insertChildrenOver(rows: readonly ChildOverRow[]): Statement {
  return {
    name: 'insert_children_over',
    text: INSERT_LAST_END,
    values: [
      plainArray(rows.map(({ id }) => id)),
      plainArray(rows.map(({ key }) => key)),
      jsonArray(rows.map(({ event }) => JSON.stringify(event))),
    ],
  };
}

export function insertChildEnds(rows: readonly ChildEndRow[]): Statement {
  return {
    name: 'insert_child_ends',
    text: INSERT_END,
    values: [
      plainArray(rows.map(({ id }) => id)),
      plainArray(rows.map(({ key }) => executionOf(key))),
      textArray(rows.map(({ key }) => key.slice(executionOf(key).length + 1))),
      plainArray(rows.map(({ stepId }) => stepId)),
      plainArray(rows.map(({ event }) => event.attempt)),
      jsonArray(rows.map(({ event }) => JSON.stringify(event))),
    ],
  };
}

/** Returns the outputs of child executions as JSON text, by id. */
export async function readOutputsOfChildren(db: Db, ids: readonly string[]): Promise<Map<string, string>> {
  if (ids.length === 0) return new Map();
  const { rows } = await db.query({
    name: 'read_outputs_of_children',
    text: `select id, coalesce(outputs::text, 'null') as outputs from workflow_executions where id = any($1::uuid[])`,
    values: [plainArray(ids)],
  });
  return new Map(rows.map(({ id, outputs }) => [id, outputs]));
}
