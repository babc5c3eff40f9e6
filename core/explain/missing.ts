/**
 * The inputs that a step still lacks, and the steps that can still bring them.
 */
import { isCompensation } from '../compensation/compensation.ts';
import { isFinalStep } from '../status.ts';
import { EDGE_OPEN, type ExecutionView } from '../view.ts';

/** Steps that are named before one input. */
const MAX_BEFORE = 3;

/** Returns whether the step has not been decided by its inputs. */
export function lacksInputs({ steps }: ExecutionView, slot: number): boolean {
  const status = steps[slot]?.status;
  return status === undefined || status === 'waiting_inputs';
}

/** Returns the slots of the producers whose edges to the step are open, in `needs` order. */
export function openProducers({ graph, edges }: ExecutionView, slot: number): number[] {
  return graph.incoming[slot]!.filter(({ id }) => edges[id] === EDGE_OPEN).map(({ from }) => from);
}

/**
 * Returns for each step some of the steps before it that have begun and are not final, found once for all: the first of them
 * breadth first.
 */
export function stepsUnderWay(view: ExecutionView): readonly (readonly number[])[] {
  const { graph, steps } = view;
  const found: (readonly number[])[] = graph.steps.map(() => []);
  const order = [...graph.steps.keys()].filter((slot) => !isCompensation(graph, slot));
  order.sort((a, b) => graph.rank[a]! - graph.rank[b]! || a - b);
  for (const slot of order) {
    if (!lacksInputs(view, slot)) continue;
    const before = new Set<number>();
    for (const from of openProducers(view, slot)) {
      if (lacksInputs(view, from)) for (const each of found[from]!) before.add(each);
      else if (!isFinalStep(steps[from]!.status)) before.add(from);
    }
    found[slot] = [...before].sort((a, b) => graph.rank[a]! - graph.rank[b]!).slice(0, MAX_BEFORE);
  }
  return found;
}
