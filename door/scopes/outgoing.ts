/**
 * The mail of a commit for views that it does not hold: rows in their inbox, and a ticket for each of these views.
 */
import { inboxTicket, type Job } from '../../core/jobs.ts';
import { executionOf, scopeName, scopeOf } from '../../core/view.ts';
import { deleteInbox, type InboxRow, insertInbox } from '../../db/scopes/inbox.ts';
import type { Statement } from '../../db/statement.ts';
import { newId } from '../../db/uuid.ts';
import type { DecidedUnit } from '../unit.ts';

export interface OutgoingMail {
  readonly statements: readonly Statement[];
  readonly tickets: readonly Job[];
}

const NONE: OutgoingMail = { statements: [], tickets: [] };

/** Also deletes the rows that the units have read. */
export function outgoing(units: readonly DecidedUnit[]): OutgoingMail {
  if (!units.some(({ outbox, inbox }) => outbox !== null || inbox !== undefined)) return NONE;
  const rows = units.flatMap(rowsOf);
  const read = units.flatMap(({ inbox }) => inbox?.ids ?? []);
  return {
    statements: [
      ...(read.length > 0 ? [deleteInbox(read)] : []),
      ...(rows.length > 0 ? [insertInbox(rows)] : []),
    ],
    tickets: [...new Set(rows.map(({ key }) => key))].map(ticketFor),
  };
}

function rowsOf({ outbox, loaded }: DecidedUnit): InboxRow[] {
  if (outbox === null) return [];
  const { holderId: stepId } = loaded.view.scope!;
  return outbox.flatMap(({ key, event: { run, ends } }) =>
    ends.map((end) => ({ id: newId(), key, stepId, event: { run, end } })),
  );
}

function ticketFor(key: string): Job {
  const scope = scopeOf(key);
  const execution = { execution_id: executionOf(key) };
  return inboxTicket(scope === null ? execution : { ...execution, scope: scopeName(scope) }, newId());
}
