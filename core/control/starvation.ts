/**
 * The check that no join waits for ever. It looks at a view after a plan: a step that still waits for inputs, or has no row yet,
 * must have no open edge from a step that is over, since nothing resolves such an edge any more.
 */
import { isFinalStep } from '../status.ts';
import { EDGE_OPEN, type ExecutionView } from '../view.ts';

export interface StarvingJoin {
  readonly slot: number;
  /** The steps before it whose edges nothing resolves any more, by slot. */
  readonly missing: readonly number[];
}

/** Returns the joins that would wait for ever; none when the execution is over. */
export function starvingJoins({ graph, steps, edges }: ExecutionView): StarvingJoin[] {
  const joins: StarvingJoin[] = [];
  for (let slot = 0; slot < graph.size; slot += 1) {
    if ((steps[slot]?.status ?? 'waiting_inputs') !== 'waiting_inputs') continue;
    const open = graph.incoming[slot]!.filter(({ id }) => edges[id] === EDGE_OPEN);
    const missing = open.map(({ from }) => from).filter((from) => isOver(steps[from]?.status));
    if (missing.length > 0) joins.push({ slot, missing });
  }
  return joins;
}

function isOver(status: Parameters<typeof isFinalStep>[0] | undefined): boolean {
  return status !== undefined && isFinalStep(status);
}
