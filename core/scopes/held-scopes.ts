/**
 * The scopes of a step that holds steps (its holder): items of a foreach, iterations of a loop, tool calls of an agent.
 *
 * Numbers only, as a step may hold 100,000 scopes. Each open scope has a view of its own, and tells its holder of its
 * end by an event.
 *
 * Invariant 1: `total` = `open` + `completed` + `failed` + `cancelled` + those still to be opened.
 * Invariant 2: `open` is at most `concurrency`.
 */
import type { AddedScopes, EndedScope, ScopeFailure } from '../event.ts';
import { countBytes, type ListSize, listFailure } from './list-size.ts';

/** The numbers of a holder's scopes. */
export interface HeldScopes {
  /** Counts the times that the holder has begun to open scopes. The end of a scope of an earlier run is late. */
  run: number;
  total: number;
  /** Index of the first scope that was never opened: it and those after it have no rows, all before it have one. */
  next: number;
  /** Indexes below `next` of scopes to open first: those of an earlier run. */
  again: readonly number[];
  /** By index, the scope in the template that each is a run of; left out: the first one. */
  parts?: readonly number[];
  /** Opened and not final, as far as the holder has heard. */
  open: number;
  completed: number;
  failed: number;
  cancelled: number;
  /** The largest number of scopes that are open at once. */
  concurrency: number;
  /** The number of failed scopes with which the holder goes on. Null: it fails as the first failed scope did. */
  tolerated: number | null;
  /** The first failure of this run; null: none. */
  first: ScopeFailure | null;
  /** Left out: the holder makes no list of the results. */
  list?: ListSize;
  /** How far its scopes are undone; null: nobody has begun to. */
  undoing: UndoneScopes | null;
}

/** Scopes are undone from the last one that was opened down to the first. */
export interface UndoneScopes {
  /** Those with a lower index are still to be undone. */
  readonly next: number;
  /** Being undone, as far as the holder has heard. */
  readonly open: number;
}

const NONE = {
  total: 0,
  next: 0,
  again: [],
  open: 0,
  completed: 0,
  failed: 0,
  cancelled: 0,
  first: null,
  undoing: null,
};

/** Returns the numbers after the holder was parked with more scopes. @param held null: it had none before */
export function addScopes(
  held: HeldScopes | null,
  { count, concurrency, tolerated, again, parts, maxListBytes }: AddedScopes,
): HeldScopes {
  const before = held ?? { ...NONE, run: 1, ...emptyList(maxListBytes) };
  const all = parts === undefined ? {} : { parts: [...(held?.parts ?? []), ...parts] };
  const more = { total: before.total + count, concurrency, tolerated, ...all };
  if (again === undefined) return { ...before, ...more };
  const anew = [...new Set([...again, ...before.again])];
  const next = { ...before, ...more, run: before.run + 1, again: anew, first: null };
  // Scopes that are not opened anew stay as they ended.
  if (again.length === 0) return next;
  const { list } = next;
  const kept = list === undefined ? {} : { list: { ...list, failed: 0 } };
  return { ...next, failed: 0, cancelled: 0, ...kept };
}

function emptyList(max: number | undefined): Pick<HeldScopes, 'list'> {
  return max === undefined ? {} : { list: { max, completed: 0, failed: 0 } };
}

/** Returns the scope in the template that the scope of an index is a run of. */
export function partOf({ parts }: HeldScopes, index: number): number {
  return parts?.[index] ?? 0;
}

/** Opens as many scopes as may be open. Returns their indexes. */
export function openScopes(held: HeldScopes): number[] {
  const free = Math.max(0, held.concurrency - held.open);
  const indexes = held.again.slice(0, free);
  if (indexes.length > 0) held.again = held.again.slice(indexes.length);
  for (; indexes.length < free && held.next < held.total; held.next += 1) indexes.push(held.next);
  held.open += indexes.length;
  return indexes;
}

/** Returns how many scopes are still to be opened. */
export function unopened({ again, total, next }: HeldScopes): number {
  return again.length + total - next;
}

/**
 * Takes back scopes that no commit has opened yet: those of an earlier run have rows, the others have none.
 * @param opened in the order in which they were opened
 */
export function takeBack(held: HeldScopes, opened: readonly { index: number; isNew: boolean }[]): void {
  held.open -= opened.length;
  held.next -= opened.filter(({ isNew }) => isNew).length;
  held.again = [...opened.filter(({ isNew }) => !isNew).map(({ index }) => index), ...held.again];
}

export function countEnds(held: HeldScopes, ends: readonly EndedScope[]): void {
  held.open -= ends.length;
  for (const { status, failure } of ends) {
    held[status] += 1;
    held.first ??= failure;
  }
  countBytes(held.list, ends);
}

/** Returns the failure of the holder: more of its scopes have failed than it tolerates, or its results are too large. */
export function failureOfHolder(held: HeldScopes): ScopeFailure | null {
  return failureOfScopes(held) ?? listFailure(held.list);
}

function failureOfScopes({ failed, total, tolerated, first }: HeldScopes): ScopeFailure | null {
  if (failed === 0 || first === null || failed <= (tolerated ?? 0)) return null;
  if (tolerated === null) return first;
  const { code, message, details } = first.error;
  const text = `${failed} of ${total} scopes failed, of which ${tolerated} are tolerated; the first: ${message}`;
  const numbers = { failed, total, tolerated, first: { code, message, details } };
  return { error: { code: 'too_many_failures', message: text, details: numbers }, retryable: true };
}

/** Counts open scopes that an end from above has cancelled. */
export function countCancelled(held: HeldScopes, count: number): void {
  held.open -= count;
  held.cancelled += count;
}

/** Some of the scopes that an end from above has counted as cancelled had ended by themselves. */
export function countLateEnds(held: HeldScopes, ends: readonly EndedScope[]): void {
  held.cancelled -= ends.length;
  for (const { status } of ends) held[status] += 1;
  countBytes(held.list, ends);
}

/** Returns whether no scope is open and none is still to be opened. */
export function areOver(held: HeldScopes): boolean {
  return held.open === 0 && unopened(held) === 0;
}
