/**
 * The steps as a graph: groups in an order in which every step comes after what it needs, and the cycles.
 *
 * Steps that need each other, also indirectly, are one group (a strongly connected component, after Tarjan,
 * "Depth-first search and linear graph algorithms", 1972, with an explicit stack); in a definition without cycles every
 * group is one step.
 */

import type { ProblemList } from '../problem-list.ts';
import type { StepDraft } from '../step-draft.ts';
import type { DraftEdges } from './edges.ts';

export interface DraftGraph extends DraftEdges {
  /** Producers first; a group of more than one step is a knot of cycles. */
  readonly groups: readonly (readonly number[])[];
}

export function connect(edges: DraftEdges): DraftGraph {
  return { ...edges, groups: componentsOf(edges.incoming.map((list) => list.map(({ from }) => from))) };
}

interface Search {
  readonly producers: readonly (readonly number[])[];
  /** Order of discovery from 1; 0: not met. */
  readonly found: Int32Array;
  /** Lowest discovery that the step reaches within its open group. */
  readonly low: Int32Array;
  readonly isOpen: Uint8Array;
  readonly open: number[];
  /** The path of the search: each step with the next producer to visit. */
  readonly path: { step: number; next: number }[];
  readonly groups: number[][];
  clock: number;
}

function componentsOf(producers: readonly (readonly number[])[]): number[][] {
  const size = producers.length;
  const search: Search = {
    producers,
    found: new Int32Array(size),
    low: new Int32Array(size),
    isOpen: new Uint8Array(size),
    open: [],
    path: [],
    groups: [],
    clock: 0,
  };
  for (let step = 0; step < size; step++) {
    if (search.found[step] === 0) explore(step, search);
  }
  return search.groups;
}

function explore(start: number, search: Search): void {
  enter(start, search);
  while (search.path.length > 0) {
    const top = search.path[search.path.length - 1]!;
    const producer = search.producers[top.step]![top.next++];
    if (producer === undefined) leave(top.step, search);
    else if (search.found[producer] === 0) enter(producer, search);
    else if (search.isOpen[producer] === 1) lower(top.step, search.found[producer]!, search);
  }
}

function enter(step: number, search: Search): void {
  search.clock += 1;
  search.found[step] = search.clock;
  search.low[step] = search.clock;
  search.isOpen[step] = 1;
  search.open.push(step);
  search.path.push({ step, next: 0 });
}

function lower(step: number, value: number, search: Search): void {
  search.low[step] = Math.min(search.low[step]!, value);
}

function leave(step: number, search: Search): void {
  search.path.pop();
  const below = search.path[search.path.length - 1];
  if (below !== undefined) lower(below.step, search.low[step]!, search);
  if (search.low[step] !== search.found[step]) return;
  const group = search.open.splice(search.open.lastIndexOf(step));
  for (const member of group) search.isOpen[member] = 0;
  search.groups.push(group);
}

/** Steps named in the message of a cycle; a longer one is cut in the middle. */
const CYCLE_SHOWN = 40;

/** One problem for each knot: its shortest cycle through its first step, in the order in which the steps would run. */
export function reportCycles(drafts: readonly StepDraft[], graph: DraftGraph, errors: ProblemList): void {
  const knots = graph.groups
    .filter((group) => group.length > 1)
    .map((group) => group.toSorted((a, b) => a - b));
  for (const knot of knots.sort((a, b) => a[0]! - b[0]!)) {
    const cycle = shortestCycle(knot, graph);
    const keys = cycle.map((position) => drafts[position]!.step.key);
    const half = CYCLE_SHOWN / 2;
    const cut = keys.length > CYCLE_SHOWN + 1;
    const shown = cut
      ? [...keys.slice(0, half), `… ${keys.length - CYCLE_SHOWN} more …`, ...keys.slice(-half)]
      : keys;
    const message = `These steps wait for each other: ${shown.join(' -> ')}. Remove one of the "needs" between them.`;
    errors.add(`${drafts[cycle[0]!]!.pointer}/needs`, 'cycle', message);
  }
}

/** Positions from the first step of the knot back to it. Breadth-first against the edges, so it is read backwards. */
function shortestCycle(knot: readonly number[], graph: DraftGraph): number[] {
  const start = knot[0]!;
  const members = new Set(knot);
  const consumers = new Map<number, number>();
  const queue = [start];
  for (let next = 0; next < queue.length; next++) {
    const step = queue[next]!;
    for (const { from } of graph.incoming[step]!) {
      if (from === start) return path(step, start, consumers);
      if (!members.has(from) || consumers.has(from)) continue;
      consumers.set(from, step);
      queue.push(from);
    }
  }
  return [start];
}

/** `first` needs `start`; from there each step is followed by the one that needs it. */
function path(first: number, start: number, consumers: ReadonlyMap<number, number>): number[] {
  const steps = [start];
  for (
    let step: number | undefined = first;
    step !== undefined && step !== start;
    step = consumers.get(step)
  ) {
    steps.push(step);
  }
  return [...steps, start];
}
