/**
 * Statements on workflow_inbox: events for views that their sender did not hold.
 *
 * A ticket job is inserted with them, one for each view and commit. The reader takes tickets first, then locks the view,
 * then reads the rows, and deletes exactly those that it has read: a row that comes later has a ticket that comes later.
 *
 * The engine that holds a view in memory reads them without a lock. Its commit names the sequence of the view, and fails
 * unless it deletes all that it has read; it deletes the tickets of these rows as well, which have the id of a row.
 */
import type { HowToEnd } from '../../core/children/left-children.ts';
import type { EndedScope } from '../../core/event.ts';
import { executionOf, type ViewKey } from '../../core/view.ts';
import { jsonArray, plainArray, textArray } from '../array-literal.ts';
import type { ChildEndEvent, ChildOverEvent } from '../children/end.ts';
import type { Db } from '../connection/client.ts';
import { guarded, type Statement } from '../statement.ts';

/** The end of one scope, for the step that holds it. */
export interface InboxEnd {
  readonly run: number;
  readonly end: EndedScope;
}

/** The end of one scope, or that one is undone. */
export type InboxEvent = InboxEnd | { readonly undone: true };

/** A parent tells its child to end, that it is paused or goes on, or to go on after its own retry. */
export type ParentEvent =
  | { readonly end: HowToEnd }
  | { readonly retry: { readonly by: string | null } }
  | {
      readonly hold: 'pause' | 'resume';
      /** Of the parent: its events are heard in their order. */
      readonly sequence: number;
    };

export interface InboxRow<E = InboxEvent | ParentEvent | ChildEndEvent | ChildOverEvent> {
  readonly id: string;
  readonly key: ViewKey;
  /** The holder of the scope, or the step that waits for the child. Null: the event is for the execution. */
  readonly stepId: string | null;
  readonly event: E;
}

const INSERT = `
  insert into workflow_inbox (id, workflow_execution_id, scope, step_execution_id, event)
  select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::jsonb[])`;

export function insertInbox(rows: readonly InboxRow<InboxEvent | ParentEvent | ChildOverEvent>[]): Statement {
  return {
    name: 'insert_inbox',
    text: INSERT,
    values: [
      plainArray(rows.map(({ id }) => id)),
      plainArray(rows.map(({ key }) => executionOf(key))),
      textArray(rows.map(({ key }) => scopePart(key))),
      plainArray(rows.map(({ stepId }) => stepId)),
      jsonArray(rows.map(({ event }) => JSON.stringify(event))),
    ],
  };
}

const READ = `
  select i.id, i.workflow_execution_id, i.scope, i.step_execution_id, i.event
    from unnest($1::uuid[], $2::text[]) as u(execution_id, scope)
    join workflow_inbox i on i.workflow_execution_id = u.execution_id and i.scope = u.scope
   order by i.id`;

/** Returns the events of views, whose rows the caller has locked. */
export async function readInbox(tx: Db, keys: readonly ViewKey[]): Promise<InboxRow[]> {
  if (keys.length === 0) return [];
  const values = [plainArray(keys.map(executionOf)), textArray(keys.map(scopePart))];
  const { rows } = await tx.query({ name: 'read_inbox', text: READ, values });
  return rows.map((row) => ({
    id: row.id,
    key: row.scope === '' ? row.workflow_execution_id : `${row.workflow_execution_id}/${row.scope}`,
    stepId: row.step_execution_id,
    event: row.event,
  }));
}

/** An event of a scope that waits for its holder. */
export type HeardEvent = Pick<InboxRow<InboxEvent>, 'id' | 'stepId' | 'event'>;

/** Returns the end of a scope that an event tells of; null: it tells of none. */
export function endOf({ event }: HeardEvent): InboxEnd | null {
  return 'end' in event ? event : null;
}

/** Returns the events that wait for holders, whose scopes are all locked: no more of them come. */
export async function readEventsFor(
  tx: Db,
  executionId: string,
  stepIds: readonly string[],
): Promise<HeardEvent[]> {
  const { rows } = await tx.query({
    name: 'read_events_for',
    text: `select id, step_execution_id, event from workflow_inbox
            where workflow_execution_id = $1 and step_execution_id = any($2::uuid[]) order by id`,
    values: [executionId, plainArray(stepIds)],
  });
  return rows.map((row) => ({ id: row.id, stepId: row.step_execution_id, event: row.event as InboxEvent }));
}

export function deleteInbox(ids: readonly string[]): Statement {
  return {
    name: 'delete_inbox',
    text: 'delete from workflow_inbox where id = any($1::uuid[])',
    values: [plainArray(ids)],
  };
}

/** Deletes rows that were read without a lock: all of them, or the transaction fails. */
export function takeFromInbox(ids: readonly string[]): Statement {
  return { name: 'take_from_inbox', text: TAKE, values: [plainArray(ids), ids.length] };
}

const TAKE = guarded('delete from workflow_inbox where id = any($1::uuid[])', 2);

/** The name of the scope in a key; empty: the top level. */
function scopePart(key: ViewKey): string {
  return key.slice(executionOf(key).length + 1);
}
