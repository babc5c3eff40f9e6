/**
 * The outcomes of a step that its edges can tell apart, and the outcomes on which an edge is live.
 *
 * An outcome that makes fewer edges live than another is left out: the question is whether a step can start, and one
 * more live edge never prevents that.
 */
import type { EdgeCondition } from '../../core/template.ts';
import type { StepDraft } from '../step-draft.ts';
import type { DraftEdge, DraftEdges } from './edges.ts';

/** Indexes into the outcomes of a step: 0 is its failure, the others are completions. */
export type Outcomes = ReadonlySet<number>;

const FAILED = 0;
/** The maximum of completions that are told apart; with more, the step is taken to name all of its routes at once. */
const MAX_COMPLETIONS = 64;

export class StepOutcomes {
  /** By position: the routes that each completion names. */
  readonly #completions: readonly (readonly (readonly string[])[])[];
  readonly #live = new Map<DraftEdge, Outcomes>();
  /** By position: whether no outcome of the step makes all edges from it live. */
  readonly #isTold: readonly boolean[];

  constructor(drafts: readonly StepDraft[], { incoming, routes }: DraftEdges) {
    this.#completions = drafts.map((draft, position) => completionsOf(draft, routes[position] ?? null));
    const common: (Outcomes | null)[] = drafts.map(() => null);
    for (const edge of incoming.flat()) {
      const live = this.#outcomesOf(edge);
      this.#live.set(edge, live);
      if (live.size === 0) continue;
      const sofar = common[edge.from] ?? live;
      common[edge.from] = new Set([...sofar!].filter((outcome) => live.has(outcome)));
    }
    this.#isTold = common.map((outcomes) => outcomes?.size === 0);
  }

  /**
   * Returns whether the edge is live on every outcome of its producer, or can be live together with all its other
   * edges.
   */
  isFree({ from }: DraftEdge, live: Outcomes): boolean {
    return !this.#isTold[from] || live.size > this.#completions[from]!.length;
  }

  /** The outcomes of its producer on which the edge is live; empty: never. */
  liveOn(edge: DraftEdge): Outcomes {
    return this.#live.get(edge)!;
  }

  #outcomesOf({ from, conditions }: DraftEdge): Outcomes {
    const live = new Set<number>();
    for (const condition of conditions) this.#addTo(live, condition, this.#completions[from]!);
    return live;
  }

  #addTo(
    live: Set<number>,
    { on, routes }: EdgeCondition,
    completions: readonly (readonly string[])[],
  ): void {
    if (on !== 'success') live.add(FAILED);
    if (on === 'failure') return;
    for (const [index, named] of completions.entries()) {
      if (routes === null || routes.some((route) => named.includes(route))) live.add(index + 1);
    }
  }
}

function completionsOf(
  { type, step }: StepDraft,
  routes: readonly string[] | null,
): readonly (readonly string[])[] {
  if (routes === null) return [[]];
  try {
    const named = type?.routesTogether?.(step.with ?? {}) ?? [routes];
    return named.length > 0 && named.length <= MAX_COMPLETIONS ? named : [routes];
  } catch {
    // An operator's type threw on its parameters: any of its routes may be named together.
    return [routes];
  }
}
