/**
 * The ids of the events of a stream: `<sequence>.<n>`, opaque to readers. They are ordered, and unique in their stream.
 */

/** The place of an event: the transition that it belongs to, and its place among the events of that. */
export interface EventPlace {
  readonly sequence: number;
  readonly n: number;
}

/** The place of the stream's own event, such as the end of the execution: behind those of all steps. */
export const OWN_PLACE = 1_000_000;

/** Before all events. */
export const BEGIN: EventPlace = { sequence: -1, n: 0 };

export function eventId({ sequence, n }: EventPlace): string {
  return `${sequence}.${n}`;
}

/** Returns the place that an id names; null: it is no id of an event. */
export function placeOf(id: string): EventPlace | null {
  const match = /^(\d{1,15})\.(\d{1,7})$/.exec(id);
  return match === null ? null : { sequence: Number(match[1]), n: Number(match[2]) };
}

export function comparePlaces(a: EventPlace, b: EventPlace): number {
  return a.sequence - b.sequence || a.n - b.n;
}
