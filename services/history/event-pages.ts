/**
 * Reads the events of a stream in pages: those of its steps and its own, in their one order.
 *
 * Invariant 1: what a page has is whole up to its last event, and up to `head` when it is the last one: the head is read
 * first, and nothing beyond it, so nothing can come later whose place lies before it.
 * Invariant 2: an event has the same id whenever it is read.
 */

import { BEGIN, comparePlaces, type EventPlace, eventId, OWN_PLACE } from '../../core/history/event-id.ts';
import { COMPENSATION } from '../../core/scopes/step-path.ts';
import type { Db } from '../../db/connection/client.ts';
import {
  readExecutionHead,
  readHappenings,
  readScopeHead,
  type StepHappening,
  type StreamHead,
} from '../../db/history/events.ts';
import type { EventBody, StreamName } from './event-answers.ts';

export interface PlacedEvent {
  readonly place: EventPlace;
  readonly body: EventBody;
}

export interface EventPage {
  readonly events: readonly PlacedEvent[];
  /** The place up to which everything was read: the last event, or the end of what has happened. */
  readonly head: EventPlace;
  /** There are no more events in the range. */
  readonly isWhole: boolean;
}

export interface PageRange {
  readonly after?: EventPlace | undefined;
  readonly before?: EventPlace | undefined;
  readonly limit: number;
}

/** Returns a page; null: the execution or the scope is not there. With `before` alone it has the last events before it. */
export async function readEventPage(
  db: Db,
  { executionId, scope }: StreamName,
  { after = BEGIN, before, limit }: PageRange,
  fromEnd = false,
): Promise<EventPage | null> {
  const head = await readHead(db, { executionId, scope });
  if (head === null) return null;
  const { first } = head;
  const end = { sequence: first + head.sequence, n: OWN_PLACE };
  const until =
    before !== undefined && comparePlaces(before, end) <= 0 ? before : { ...end, n: OWN_PLACE + 1 };
  const isIn = ({ place }: PlacedEvent) => comparePlaces(place, after) > 0 && comparePlaces(place, until) < 0;
  const own = ownEvents(head, first, scope).filter(isIn);
  const inRow = ({ sequence, n }: EventPlace) => ({ sequence: sequence - first, n });
  const range = { after: inRow(after), before: inRow(until), limit: limit + 1, fromEnd };
  const happened = await readHappenings(db, executionId, scope, range);
  const all = [...happened.map((each) => stepEvent(each, first, scope)), ...own].sort((a, b) =>
    comparePlaces(a.place, b.place),
  );
  const isWhole = all.length <= limit;
  const events = isWhole ? all : fromEnd ? all.slice(-limit) : all.slice(0, limit);
  return { events, isWhole, head: isWhole ? end : events.at(-1)!.place };
}

/** Returns the present end of a stream; null: it is not there. */
export async function readEnd(db: Db, stream: StreamName): Promise<EventPlace | null> {
  const head = await readHead(db, stream);
  return head === null ? null : { sequence: head.first + head.sequence, n: OWN_PLACE };
}

function readHead(db: Db, { executionId, scope }: StreamName): Promise<StreamHead | null> {
  return scope === '' ? readExecutionHead(db, executionId) : readScopeHead(db, executionId, scope);
}

function ownEvents({ statuses }: StreamHead, first: number, scope: string): PlacedEvent[] {
  return statuses.map(({ sequence, status, at }, index) => {
    const place = { sequence: first + sequence, n: OWN_PLACE };
    const of = scope === '' ? { type: 'execution', scope: null } : { type: 'scope', scope };
    const body = {
      id: eventId(place),
      ...(of as Pick<EventBody, 'type' | 'scope'>),
      step_id: null,
      key: null,
      from: statuses[index - 1]?.status ?? null,
      to: status,
      at: at.toISOString(),
    };
    return { place, body };
  });
}

function stepEvent(happened: StepHappening, first: number, scope: string): PlacedEvent {
  const { stepId, path, status, attempt, outcome, errorCode, at } = happened;
  const place = { sequence: first + happened.place.sequence, n: happened.place.n };
  const key = path.slice(path.lastIndexOf('/') + 1);
  const isUndoing = key.endsWith(COMPENSATION);
  const body: EventBody = {
    id: eventId(place),
    type: isUndoing ? 'compensation' : 'step',
    step_id: stepId,
    key: isUndoing ? key.slice(0, -COMPENSATION.length) : key,
    scope,
    from: null,
    to: status,
    at: at.toISOString(),
    attempt,
    outcome,
    error_code: errorCode,
  };
  return { place, body };
}
