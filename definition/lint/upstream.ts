/**
 * Reads of steps that are no direct predecessors of their reader, and the check that they are upstream of it.
 */
import type { ProblemList } from '../problem-list.ts';
import type { StepDraft } from '../step-draft.ts';
import type { DraftGraph } from './graph.ts';

/** Slots are of the scope that has the target. */
export interface DistantRead {
  readonly reader: number;
  readonly target: number;
  readonly pointer: string;
  /** Whether the reader is a step that holds the one whose expression it is. */
  readonly isHolder: boolean;
}

/** Reports those of one scope whose target is not upstream of their reader. */
export function reportDistant(
  reads: readonly DistantRead[],
  drafts: readonly StepDraft[],
  graph: DraftGraph,
  errors: ProblemList,
): void {
  const targets = [...new Set(reads.map(({ target }) => target))];
  const byTarget = Map.groupBy(reads, ({ target }) => target);
  for (let start = 0; start < targets.length; start += BATCH) {
    const batch = targets.slice(start, start + BATCH);
    const reached = reachedFrom(batch, graph);
    for (const [bit, target] of batch.entries()) {
      for (const read of byTarget.get(target) ?? []) {
        if ((reached[read.reader]! & (1 << bit)) === 0) report(read, drafts, graph, errors);
      }
    }
  }
}

function report(
  { reader, target, pointer, isHolder }: DistantRead,
  drafts: readonly StepDraft[],
  graph: DraftGraph,
  errors: ProblemList,
): void {
  const { step, needs } = drafts[reader]!;
  // With a broken "needs" the steps before this one are not known.
  if (!needs.complete || graph.unresolved[reader]! > 0) return;
  const { key } = drafts[target]!.step;
  errors.add(pointer, 'not_upstream', () => {
    if (reader !== target) {
      const which = isHolder ? `"${step.key}", which holds this step` : `"${step.key}"`;
      return `The step "${key}" does not run before ${which}; add it to "needs" of "${step.key}" or of a step before it.`;
    }
    return isHolder
      ? `The step "${key}" holds this step; its output is not known before the steps inside it have run.`
      : `The step "${key}" refers to itself; its output is not known before it has run.`;
  });
}

/** Targets that are followed at once, one bit each. */
const BATCH = 32;

/** By slot: which of the targets are upstream, as bits. Members of a cycle are upstream of each other. */
function reachedFrom(targets: readonly number[], graph: DraftGraph): Int32Array {
  const own = new Int32Array(graph.incoming.length);
  for (const [bit, target] of targets.entries()) own[target] = 1 << bit;
  const reached = new Int32Array(graph.incoming.length);
  for (const group of graph.groups) {
    let bits = 0;
    for (const member of group) {
      for (const { from } of graph.incoming[member]!) bits |= reached[from]! | own[from]!;
    }
    for (const member of group) reached[member] = bits;
  }
  return reached;
}
