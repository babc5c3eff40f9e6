/**
 * Decides what a fork reuses: the steps of the source whose result the new execution takes over.
 *
 * A step is reused when it is completed, skipped, or failed and handled, is neither `from` nor downstream of it, and all its
 * predecessors are reused. Steps of two versions correspond by key and type.
 *
 * Invariant 1: every edge into a reused step is resolved, and its join comes to the decision that the source came to. A
 * step whose edges changed with an output or a version is decided anew.
 * Invariant 2: a reused failure is handled in the graph of the fork: a fork never begins with a failure of its own.
 * Invariant 3: each step and each edge is looked at once.
 */
import { isCompensation } from '../compensation/compensation.ts';
import type { Payload } from '../event.ts';
import { type Graph, isLive } from '../graph.ts';
import { decideJoin } from '../join.ts';
import { isFinalStep } from '../status.ts';
import type { ExecutionView, StepState } from '../view.ts';
import type { ReusedStep } from './fork/reused-step.ts';

/** A value that the caller gives a step as its output. */
export interface GivenOutput {
  readonly output: Payload;
  /** The routes that it names; null: the type has none. */
  readonly routes: readonly string[] | null;
}

export interface ForkRequest {
  /** Slot in the graph of the fork. */
  readonly from: number;
  /** By slot in the graph of the fork. */
  readonly outputs: ReadonlyMap<number, GivenOutput>;
  /** Keys of steps in whose scopes something was not compensated, though the execution tried. */
  readonly notCompensatedInside: ReadonlySet<string>;
}

export interface Fork {
  readonly reused: readonly ReusedStep[];
  /** Keys of completed steps that were to be compensated and were not: their effect is in doubt. */
  readonly notCompensated: readonly string[];
}

/** @param source the top level of the source @param graph of the version that the fork runs */
export function planFork(source: ExecutionView, graph: Graph, request: ForkRequest): Fork {
  const isAnew = downstreamOf(graph, request.from);
  const compensations = compensationsOf(source);
  const reused = new Map<number, ReusedStep>();
  const notCompensated: string[] = [];
  for (const slot of byDepth(graph)) {
    const given = request.outputs.get(slot);
    const state = counterpart(source, graph, slot);
    const mayBeReused =
      !isAnew[slot] && graph.incoming[slot]!.every(({ from }) => isTakenOver(reused.get(from)));
    const doubt =
      state === undefined ? 'none' : undoingOf(source, state, compensations.get(state.slot), request);
    if (doubt === 'failed' && given === undefined) notCompensated.push(graph.steps[slot]!.key);
    const fits = mayBeReused && doubt === 'none' && isSame(source, graph, state, slot, reused);
    const step =
      given === undefined ? takenOver(graph, state, slot, fits) : completed(state, slot, given, fits);
    if (step !== null) reused.set(slot, step);
  }
  return { reused: [...reused.values()], notCompensated };
}

/** Returns whether a step was final in the source: what the caller alone completed counts as begun anew. */
function isTakenOver(step: ReusedStep | undefined): boolean {
  return step !== undefined && step.source !== null;
}

function takenOver(
  graph: Graph,
  state: StepState | undefined,
  slot: number,
  fits: boolean,
): ReusedStep | null {
  if (!fits || state === undefined) return null;
  const { id, sequence, status, routes } = state;
  if (status !== 'completed' && status !== 'skipped' && !(status === 'failed' && graph.handlesFailure[slot]))
    return null;
  return { slot, status, routes, source: { id, sequence, status }, output: null };
}

/** A step with a given output is completed, whatever it was. */
function completed(
  state: StepState | undefined,
  slot: number,
  { output, routes }: GivenOutput,
  fits: boolean,
): ReusedStep {
  const isReused = fits && state !== undefined && isFinalStep(state.status) && state.status !== 'cancelled';
  const source = isReused ? { id: state.id, sequence: state.sequence, status: state.status } : null;
  return { slot, status: 'completed', routes, source, output };
}

/** Returns whether the join of a step comes to the decision of the source, now that all its edges are resolved. */
function isSame(
  source: ExecutionView,
  graph: Graph,
  state: StepState | undefined,
  slot: number,
  reused: ReadonlyMap<number, ReusedStep>,
): boolean {
  if (state === undefined) return false;
  const incoming = graph.incoming[slot]!;
  if (incoming.length === 0) return true;
  const live = incoming.filter((edge) => {
    const { status, routes } = reused.get(edge.from)!;
    return isLive(edge, status, routes);
  }).length;
  const decision = decideJoin(graph.steps[slot]!.join, incoming.length, incoming.length, live);
  return (decision === 'skip') === wasSkippedByEdges(source, state);
}

/** Returns whether the edges of a step left it out: a guard skips a step whose join has fired. */
function wasSkippedByEdges({ graph }: ExecutionView, { slot, status, resolved, live }: StepState): boolean {
  const edges = graph.incoming[slot]!.length;
  return (
    status === 'skipped' && edges > 0 && decideJoin(graph.steps[slot]!.join, edges, resolved, live) === 'skip'
  );
}

/** Returns the step of the source with the key and type of a step of the fork. */
function counterpart(source: ExecutionView, graph: Graph, slot: number): StepState | undefined {
  const { key, type } = graph.steps[slot]!;
  const at = source.graph.slots.get(key);
  if (at === undefined || source.graph.steps[at]!.type !== type) return undefined;
  return source.steps[at];
}

/** `undone`: its effect is gone. `failed`: its effect was to be undone, and may be there still. */
function undoingOf(
  source: ExecutionView,
  { slot, held }: StepState,
  compensation: StepState | undefined,
  { notCompensatedInside }: ForkRequest,
): 'none' | 'undone' | 'failed' {
  const isUndoneInside = held !== null && held.undoing !== null;
  if (compensation !== undefined && compensation.status !== 'completed') return 'failed';
  if (isUndoneInside && notCompensatedInside.has(source.graph.steps[slot]!.key)) return 'failed';
  return compensation !== undefined || isUndoneInside ? 'undone' : 'none';
}

/** Returns the compensations that have begun, by the slot of the step that each undoes. */
function compensationsOf({ graph, steps }: ExecutionView): Map<number, StepState> {
  const begun = new Map<number, StepState>();
  for (const [place, slot] of graph.compensated.entries()) {
    const state = steps[graph.size + place];
    if (state !== undefined) begun.set(slot, state);
  }
  return begun;
}

function downstreamOf({ outgoing, size }: Graph, from: number): boolean[] {
  const isReached: boolean[] = new Array(size).fill(false);
  isReached[from] = true;
  const open = [from];
  for (let slot = open.pop(); slot !== undefined; slot = open.pop())
    for (const { to } of outgoing[slot]!) {
      if (isReached[to]) continue;
      isReached[to] = true;
      open.push(to);
    }
  return isReached;
}

/** Every edge leads to a greater depth: the predecessors of a step come before it. */
function byDepth(graph: Graph): number[] {
  const slots = graph.steps.flatMap((_, slot) => (isCompensation(graph, slot) ? [] : slot));
  return slots.sort((a, b) => graph.depth[a]! - graph.depth[b]! || a - b);
}
