/**
 * Compensations: completed steps that have one are undone, one at a time, before an execution that failed, timed out or was
 * stopped becomes final.
 *
 * A compensation is a step instance like any other, in a slot behind those of the steps. It has no edges, and its failure
 * fails nothing.
 *
 * Invariant 1: at most one compensation is not final, and none while a step of the graph runs.
 * Invariant 2: the latest completion is undone first: by the sequence of the commit, which is the order of the database's
 * times, then by position.
 */
import type { Graph } from '../graph.ts';
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

/** Returns whether a completed step is still to be undone. */
export function hasToUndo(view: ExecutionView): boolean {
  return nextToUndo(view) !== null;
}

/** Returns whether nothing of the graph goes on any more because the execution winds down: stopped, or compensating. */
export function windsDown({ graph, status, stopRequested }: ExecutionView, slot: number): boolean {
  return !isCompensation(graph, slot) && (stopRequested !== null || status === 'compensating');
}

/** Returns whether a compensation is under way. */
export function isUndoing({ graph, steps }: ExecutionView): boolean {
  return steps.some(
    (state) => state !== undefined && isCompensation(graph, state.slot) && !isFinalStep(state.status),
  );
}

/** Returns the slot of the compensation that comes next; null: none. */
export function nextToUndo({ graph, steps }: ExecutionView): number | null {
  let next: number | null = null;
  let latest: StepState | null = null;
  for (const [place, slot] of graph.compensated.entries()) {
    const state = steps[slot];
    if (state?.status !== 'completed' || steps[graph.size + place] !== undefined) continue;
    if (latest !== null && state.sequence < latest.sequence) continue;
    latest = state;
    next = graph.size + place;
  }
  return next;
}
