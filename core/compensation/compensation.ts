/**
 * Compensations: completed steps that have one are undone, one at a time, before an execution that failed, timed out or was
 * stopped becomes final.
 *
 * A compensation is a step instance like any other, in a slot behind those of the steps. It has no edges, and its failure
 * fails nothing. A holder has a place of its own in the order: its scopes are undone then, up to its `concurrency` at a time,
 * each like the top level, and the last one that was begun comes first. A scope never begins to undo by itself.
 *
 * Invariant 1: at most one compensation of a view, or the scopes of one holder, are being undone, and nothing is while a step
 * of the graph runs or has open scopes.
 * Invariant 2: the latest end is undone first: by the sequence of the commit, which is the order of the database's times, then
 * by position. A holder that was cut off by the end of its execution comes before all others.
 * Invariant 3: a holder's own compensation comes before its scopes, since they ended before it did.
 */
import type { Graph } from '../graph.ts';
import type { HeldScopes } from '../scopes/held-scopes.ts';
import { isFinalStep } from '../status.ts';
import type { ExecutionView, StepState } from '../view.ts';

/** Returns whether the slot is that of a compensation. */
export function isCompensation({ size }: Pick<Graph, 'size'>, slot: number): boolean {
  return slot >= size;
}

/** Returns the slot of the step that a compensation undoes; the slot itself for any other step. */
export function undoneBy({ size, compensated }: Pick<Graph, 'size' | 'compensated'>, slot: number): number {
  return slot < size ? slot : compensated[slot - size]!;
}

/** Returns whether steps of the graph, or of scopes inside it, have compensations. */
export function mayUndo({ compensated, undoneInside }: Pick<Graph, 'compensated' | 'undoneInside'>): boolean {
  return compensated.length + undoneInside.length > 0;
}

/** Returns the slot of the compensation of a step; null: it has none. */
export function compensationOf(
  { size, compensated }: Pick<Graph, 'size' | 'compensated'>,
  slot: number,
): number | null {
  const place = compensated.indexOf(slot);
  return place < 0 ? null : size + place;
}

/**
 * Returns whether something is to be undone when the execution ends now. Scopes that have begun count before anybody has looked
 * what is in them.
 */
export function hasToUndo(view: ExecutionView): boolean {
  const { scope, graph, steps } = view;
  if (scope !== null) return false;
  return nextToUndo(view) !== null || graph.undoneInside.some((slot) => hasScopesToUndo(steps[slot]));
}

function hasScopesToUndo(state: StepState | undefined): boolean {
  return state?.held != null && state.held.next > 0 && state.held.undoing === null;
}

/** Returns whether nothing of the graph goes on any more because the execution winds down: stopped, or compensating. */
export function windsDown({ graph, status, stopRequested }: ExecutionView, slot: number): boolean {
  return !isCompensation(graph, slot) && (stopRequested !== null || status === 'compensating');
}

/** Returns whether a compensation is under way, or scopes of a holder are being undone. */
export function isUndoing({ graph, steps }: ExecutionView): boolean {
  return steps.some(
    (state) =>
      state !== undefined &&
      ((isCompensation(graph, state.slot) && !isFinalStep(state.status)) || undoesScopes(state)),
  );
}

/** Returns whether scopes of the step are being undone. */
export function undoesScopes({ held }: Pick<StepState, 'held'>): boolean {
  return held !== null && held.undoing !== null && held.undoing.open > 0;
}

/** Returns what comes next: the slot of a compensation, or of a holder whose scopes are to be undone; null: nothing. */
export function nextToUndo({ graph, steps }: ExecutionView): number | null {
  let next: number | null = null;
  let latest: StepState | null = null;
  for (const slot of graph.undoneInside) {
    const state = steps[slot];
    if (!hasScopesToUndo(state) || !isFinalStep(state!.status)) continue;
    if (latest !== null && isEarlier(state!, latest)) continue;
    latest = state!;
    next = slot;
  }
  for (const [place, slot] of graph.compensated.entries()) {
    const state = steps[slot];
    if (state?.status !== 'completed' || steps[graph.size + place] !== undefined) continue;
    if (latest !== null && isEarlier(state, latest)) continue;
    latest = state;
    next = graph.size + place;
  }
  return next;
}

/** Returns whether a step has ended before another one. */
function isEarlier(state: StepState, other: StepState): boolean {
  if (isCutOff(state) !== isCutOff(other)) return isCutOff(other);
  return state.sequence === other.sequence ? state.slot < other.slot : state.sequence < other.sequence;
}

/** A holder that had not ended by itself when its execution did. */
function isCutOff({ status, lost }: StepState): boolean {
  return status === 'cancelled' && !lost;
}

/** Begins to undo the scopes of a holder: all that were ever opened. Returns the indexes of the first. */
export function beginUndoing(held: HeldScopes): number[] {
  held.undoing = { next: held.next, open: 0 };
  return goOnUndoing(held, 0);
}

/** Some scopes are undone: as many others follow. Returns their indexes, from the last one that was opened down. */
export function goOnUndoing(held: HeldScopes, undone: number): number[] {
  const { next, open } = held.undoing!;
  const count = Math.min(next, held.concurrency - (open - undone));
  held.undoing = { next: next - count, open: open - undone + count };
  return Array.from({ length: count }, (_, at) => next - 1 - at);
}

/** Ends the undoing of a holder's scopes: they are cancelled. */
export function breakOffUndoing(held: HeldScopes): void {
  held.undoing = { next: held.undoing!.next, open: 0 };
}
