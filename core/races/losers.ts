/**
 * Races: a join that cancels losers, when it fires, ends the steps before it that can serve nothing else any more.
 *
 * Invariant: all edges of a loser lead to steps that are over, to other losers, or to the join. So an end of losers decides
 * no join.
 */
import { upstreamOf } from '../graph.ts';
import { isFinalStep } from '../status.ts';
import type { ExecutionView } from '../view.ts';

/**
 * Returns the losers of joins that have just fired, by slot, the farthest from the start first. Where joins fire together,
 * losers of one may make others the losers of the next: the result is the same in any order of the joins.
 */
export function losersOf(view: ExecutionView, joins: readonly number[]): number[] {
  const losers = new Set<number>();
  for (let known = -1; known < losers.size; ) {
    known = losers.size;
    for (const join of joins) addLosers(view, join, losers);
  }
  return [...losers];
}

function addLosers({ graph, steps }: ExecutionView, join: number, losers: Set<number>): void {
  const isOver = (slot: number) => losers.has(slot) || isFinalStep(steps[slot]?.status ?? 'waiting_inputs');
  // Every edge leads to a greater depth: what a step leads to is known before the step is judged.
  const upstream = upstreamOf(graph, join).sort((a, b) => graph.depth[b]! - graph.depth[a]!);
  for (const slot of upstream) {
    if (isOver(slot)) continue;
    if (graph.outgoing[slot]!.every(({ to }) => to === join || isOver(to))) losers.add(slot);
  }
}
