/**
 * The mail of a commit for views that it does not hold: rows in their inbox, and a ticket for each of these views. A scope that
 * is to be undone gets a ticket alone: whoever takes it finds it compensating.
 */
import { inboxTicket, type Job, type JobKey } from '../../core/jobs.ts';
import type { OutgoingEvent } from '../../core/scopes/outbox.ts';
import { executionOf, scopeName, scopeOf, type ViewKey, viewKey } from '../../core/view.ts';
import { type ChildOverEvent, insertChildEnds, insertChildrenOver } from '../../db/children/end.ts';
import {
  deleteInbox,
  type InboxEvent,
  type InboxRow,
  insertInbox,
  type ParentEvent,
  takeFromInbox,
} from '../../db/scopes/inbox.ts';
import type { Statement } from '../../db/statement.ts';
import { newId } from '../../db/uuid.ts';
import { childEndOf, childOverOf, endsChild } from '../children/child-end.ts';
import { overInside } from '../control/inside.ts';
import type { DecidedUnit } from '../unit.ts';

export interface OutgoingMail {
  readonly statements: readonly Statement[];
  readonly tickets: readonly Job[];
  /** Tickets of rows that the units have read without a lock. */
  readonly read: readonly JobKey[];
  /** Views of which another engine is told, which may hold them. */
  readonly told: readonly ViewKey[];
}

const NONE: OutgoingMail = { statements: [], tickets: [], read: [], told: [] };

/** For so long the rows for a view are left to the engine that holds it. */
export const HOLDER_MS = 250;
/** A notification has room for so many views. */
const MAX_TOLD = 40;

/**
 * Also deletes the rows that the units have read.
 * @param maxBytes largest output of a step
 * @param hasPeers whether another engine may hold the views
 */
export function outgoing(units: readonly DecidedUnit[], maxBytes: number, hasPeers: boolean): OutgoingMail {
  if (!units.some(hasMail)) return NONE;
  const news = units.flatMap(newsOf);
  const orders = units.flatMap(ordersOf);
  const ends = units.flatMap((unit) => childEndOf(unit, maxBytes) ?? []);
  const over = units.flatMap((unit) => childOverOf(unit) ?? []);
  const others = [...[...orders, ...ends, ...over].map(({ key }) => key), ...units.flatMap(toUndo)];
  const locked = units.flatMap(({ inbox }) => (inbox?.isLocked === true ? inbox.ids : []));
  const unlocked = units.flatMap(readUnlocked);
  return {
    statements: [
      ...(locked.length > 0 ? [deleteInbox(locked)] : []),
      ...(unlocked.length > 0 ? [takeFromInbox(unlocked)] : []),
      ...(news.length + orders.length > 0 ? [insertInbox([...orders, ...news])] : []),
      ...(ends.length > 0 ? [insertChildEnds(ends)] : []),
      ...(over.length > 0 ? [insertChildrenOver(over)] : []),
    ],
    ...ticketsFor(news, new Set(others), hasPeers),
    read: unlocked.map((id) => ({ queue: 'WorkflowExecutionQueue', id })),
  };
}

/**
 * Returns the rows that the unit has read without a lock. Where they have changed nothing its view may be of before what they
 * tell, and nothing in the commit would find that out: they are left to their ticket.
 */
function readUnlocked({ inbox, plan }: DecidedUnit): readonly string[] {
  return inbox?.isLocked === false && plan.changed ? inbox.ids : [];
}

/** Returns a ticket for each view, and the views that are left to the engine that holds them, with news of scopes alone. */
function ticketsFor(
  news: readonly InboxRow[],
  others: ReadonlySet<ViewKey>,
  hasPeers: boolean,
): Pick<OutgoingMail, 'tickets' | 'told'> {
  // The last row for a view gives its ticket the id.
  const ids = new Map(news.map(({ key, id }) => [key, id]));
  const told = hasPeers ? [...ids.keys()].filter((key) => !others.has(key)).slice(0, MAX_TOLD) : [];
  const isTold = new Set(told);
  const atOnce = [...new Set([...ids.keys(), ...others])].filter((key) => !isTold.has(key));
  const tickets = [
    ...atOnce.map((key) => ticketFor(key, newId(), null)),
    ...told.map((key) => ticketFor(key, ids.get(key)!, HOLDER_MS)),
  ];
  return { told, tickets };
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

/** Returns the rows that tell children to end or to go on, and those of views that are over inside. */
function ordersOf(unit: DecidedUnit): InboxRow<ParentEvent | ChildOverEvent>[] {
  return [...rowsToChildren(unit), ...rowsInside(unit)];
}

/** Returns the rows for the holders of scopes. */
function newsOf({ outbox, loaded }: DecidedUnit): InboxRow<InboxEvent>[] {
  if (outbox === null) return [];
  const { holderId: stepId } = loaded.view.scope!;
  return outbox.flatMap(({ key, event }) =>
    eventsOf(event).map((row) => ({ id: newId(), key, stepId, event: row })),
  );
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

function ticketFor(key: ViewKey, id: string, afterMs: number | null): Job {
  const scope = scopeOf(key);
  const execution = { execution_id: executionOf(key) };
  return inboxTicket(scope === null ? execution : { ...execution, scope: scopeName(scope) }, id, afterMs);
}
