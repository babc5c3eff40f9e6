/**
 * The rows of a view's inbox as events: news of its scopes, ends of its children, and a parent's word that it is to end.
 */
import { WHOLE_REPAIR } from '../../core/control/asked-repair.ts';
import type { Event, WaitResult } from '../../core/event.ts';
import { type ExecutionView, findSlot } from '../../core/view.ts';
import type { ChildEndEvent } from '../../db/children/end.ts';
import type { InboxRow, ParentEvent } from '../../db/scopes/inbox.ts';
import { JsonPayload } from '../../payload/json-payload.ts';

/** Returns the children that have completed, according to the rows. */
export function completedChildren(rows: readonly InboxRow[]): string[] {
  return rows.flatMap(({ event }) => ('child' in event && event.failure === null ? event.child : []));
}

/**
 * Returns the ends of scopes and children for a unit. One for a step that is not there any more is read, and changes nothing.
 * @param outputs of the children that have completed, as JSON text
 */
export function eventsFrom(
  view: ExecutionView,
  rows: readonly InboxRow[],
  outputs: ReadonlyMap<string, string>,
): Event[] {
  return rows.flatMap(({ stepId, event }): Event | [] => {
    if (isTold(event)) return [];
    if ('over' in event) return { type: 'reconsider' };
    const slot = stepId === null ? null : findSlot(view, stepId);
    if (slot === null) return [];
    const random = Math.random();
    if ('undone' in event) return { type: 'scopes_undone', slot, count: 1 };
    if ('run' in event) return { type: 'scopes_ended', slot, run: event.run, ends: [event.end], random };
    const { child: childId, attempt } = event;
    return { type: 'child_ended', slot, attempt, childId, result: resultOf(event, outputs), random };
  });
}

function resultOf({ child, failure }: ChildEndEvent, outputs: ReadonlyMap<string, string>): WaitResult {
  return failure ?? { output: new JsonPayload(outputs.get(child) ?? 'null') };
}

/**
 * Returns the events of rows with which a parent tells the execution to end, to pause or to go on.
 * @param children those that a retry retries in place; left out: none
 */
export function toldByParent(
  rows: readonly InboxRow[],
  parentId: string,
  children?: ReadonlyMap<number, string>,
): Event[] {
  const told = rows.flatMap(({ event }) => (isTold(event) ? event : []));
  const sequenceOf = (event: ParentEvent) => ('hold' in event ? event.sequence : Number.POSITIVE_INFINITY);
  return told
    .toSorted((a, b) => sequenceOf(a) - sequenceOf(b) || 0)
    .map((event) => toldEvent(event, parentId, children));
}

/** Returns whether a parent tells the execution to go on. */
export function isRetry({ event }: InboxRow): boolean {
  return 'retry' in event;
}

function isTold(event: InboxRow['event']): event is ParentEvent {
  return 'hold' in event || 'retry' in event || ('end' in event && !('run' in event));
}

function toldEvent(event: ParentEvent, parentId: string, children = WHOLE_REPAIR.children): Event {
  if ('end' in event) return toEnd(event.end);
  if ('hold' in event) return { type: event.hold, by: parentId };
  const act = { act: 'retry', by: event.retry.by } as const;
  return { type: 'repair', repair: { ...WHOLE_REPAIR, children }, sequence: null, act };
}

function toEnd(how: 'stop' | 'cancel'): Event {
  return how === 'stop'
    ? { type: 'stop', reason: 'The execution that waits for it was stopped, has failed or has timed out.' }
    : { type: 'cancel', reason: 'The step that waited for it has ended.' };
}
