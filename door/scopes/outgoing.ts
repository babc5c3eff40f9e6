/**
 * The mail of a commit for views that it does not hold: rows in their inbox, and a ticket for each of these views. A scope that
 * is to be undone gets a ticket alone: whoever takes it finds it compensating.
 */
import { inboxTicket, type Job } from '../../core/jobs.ts';
import type { OutgoingEvent } from '../../core/scopes/outbox.ts';
import { executionOf, scopeName, scopeOf, type ViewKey, viewKey } from '../../core/view.ts';
import { type ChildOverEvent, insertChildEnds, insertChildrenOver } from '../../db/children/end.ts';
import {
  deleteInbox,
  type InboxEvent,
  type InboxRow,
  insertInbox,
  type ParentEvent,
} from '../../db/scopes/inbox.ts';
import type { Statement } from '../../db/statement.ts';
import { newId } from '../../db/uuid.ts';
import { childEndOf, childOverOf, endsChild } from '../children/child-end.ts';
import { overInside } from '../control/inside.ts';
import type { DecidedUnit } from '../unit.ts';

export interface OutgoingMail {
  readonly statements: readonly Statement[];
  readonly tickets: readonly Job[];
}

const NONE: OutgoingMail = { statements: [], tickets: [] };

/** Also deletes the rows that the units have read. @param maxBytes largest output of a step */
export function outgoing(units: readonly DecidedUnit[], maxBytes: number): OutgoingMail {
  if (!units.some(hasMail)) return NONE;
  const rows = units.flatMap(rowsOf);
  const ends = units.flatMap((unit) => childEndOf(unit, maxBytes) ?? []);
  const over = units.flatMap((unit) => childOverOf(unit) ?? []);
  const views = [...[...rows, ...ends, ...over].map(({ key }) => key), ...units.flatMap(toUndo)];
  const read = units.flatMap(({ inbox }) => inbox?.ids ?? []);
  return {
    statements: [
      ...(read.length > 0 ? [deleteInbox(read)] : []),
      ...(rows.length > 0 ? [insertInbox(rows)] : []),
      ...(ends.length > 0 ? [insertChildEnds(ends)] : []),
      ...(over.length > 0 ? [insertChildrenOver(over)] : []),
    ],
    tickets: [...new Set(views)].map(ticketFor),
  };
}

/** Returns whether the commit of the unit has written tickets. */
export function sendsMail(unit: DecidedUnit): boolean {
  const { outbox, told, tickets, plan } = unit;
  const isOwn = outbox !== null || told !== undefined || tickets !== undefined || plan.repair !== null;
  return isOwn || (plan.scopes?.undone.length ?? 0) > 0 || endsChild(unit);
}

function hasMail(unit: DecidedUnit): boolean {
  return unit.inbox !== undefined || sendsMail(unit);
}

function rowsOf(unit: DecidedUnit): InboxRow<InboxEvent | ParentEvent | ChildOverEvent>[] {
  const { outbox, loaded } = unit;
  const rows = [...rowsToChildren(unit), ...rowsInside(unit)];
  if (outbox === null) return rows;
  const { holderId: stepId } = loaded.view.scope!;
  const toHolders = outbox.flatMap(({ key, event }) =>
    eventsOf(event).map((row) => ({ id: newId(), key, stepId, event: row })),
  );
  return [...rows, ...toHolders];
}

function rowsToChildren({ told, plan }: DecidedUnit): InboxRow<ParentEvent>[] {
  const words = (told ?? []).flatMap(({ ids, event }) => ids.map((key) => ({ key, event })));
  const by = plan.acts?.find(({ act }) => act === 'retry')?.by ?? null;
  const retries = (plan.repair?.children ?? []).map((key) => ({ key, event: { retry: { by } } }));
  return [...words, ...retries].map((row) => ({ id: newId(), stepId: null, ...row }));
}

function rowsInside(unit: DecidedUnit): InboxRow<ChildOverEvent>[] {
  const event = { over: unit.plan.view.id };
  return overInside(unit).map((key) => ({ id: newId(), key, stepId: null, event }));
}

/** Returns what an event tells of each scope. */
function eventsOf(event: OutgoingEvent['event']): InboxEvent[] {
  if (event.type === 'scopes_undone') return Array.from({ length: event.count }, () => ({ undone: true }));
  return event.ends.map((end) => ({ run: event.run, end }));
}

/** Returns the views of the scopes that a plan begins to undo. */
function toUndo({ plan: { scopes, view } }: DecidedUnit): ViewKey[] {
  const undone = scopes?.undone ?? [];
  return undone.map(({ slot, index }) => viewKey(view.id, { holderId: view.steps[slot]!.id, index }));
}

function ticketFor(key: string): Job {
  const scope = scopeOf(key);
  const execution = { execution_id: executionOf(key) };
  return inboxTicket(scope === null ? execution : { ...execution, scope: scopeName(scope) }, newId());
}
