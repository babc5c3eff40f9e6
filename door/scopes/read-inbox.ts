/**
 * The rows that a unit has read from the inbox of its view.
 */
import type { Event } from '../../core/event.ts';

/** Rows of the inbox, which the commit that decides their events deletes. */
export interface ReadInbox {
  readonly ids: readonly string[];
  readonly events: readonly Event[];
  /** Whether the view was locked when they were read. */
  readonly isLocked: boolean;
}
