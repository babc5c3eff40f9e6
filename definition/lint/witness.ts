/**
 * Searches outcomes of the earlier steps with which a step starts. An answer that is found in time is exact.
 *
 * The search takes exponential time in the worst case (an instance of SAT can be written as a definition), so the work
 * is bounded. Real definitions ask for few steps that exclude each other.
 */
import type { StepDraft } from '../step-draft.ts';
import type { DraftEdge } from './edges.ts';
import type { DraftGraph } from './graph.ts';
import type { StepOutcomes } from './outcomes.ts';

/**
 * The maximum of steps and edges that are visited for one step. The search recurses four calls for each, for which half
 * of a small stack suffices.
 */
const MAX_VISITS = 600;
/** The same for all steps of a definition, for two searches of each step. */
const MAX_ALL_VISITS = 200_000;

/** The visits that are left for the definition. */
export interface Effort {
  visits: number;
}

export function newEffort(): Effort {
  return { visits: MAX_ALL_VISITS };
}

export class WitnessSearch {
  readonly #drafts: readonly StepDraft[];
  readonly #graph: DraftGraph;
  readonly #outcomes: StepOutcomes;
  /** Steps whose edges are never live. */
  readonly #dead: ReadonlySet<number>;
  /** Steps that can start with every outcome of every other step. */
  readonly #free = new Set<number>();
  /** Outcomes that are settled in the present try, by position. */
  readonly #chosen = new Map<number, number>();
  /** Steps that start in the present try. */
  readonly #started = new Set<number>();
  #visits = 0;
  readonly #effort: Effort;

  constructor(
    drafts: readonly StepDraft[],
    graph: DraftGraph,
    outcomes: StepOutcomes,
    dead: ReadonlySet<number>,
    effort: Effort,
  ) {
    this.#drafts = drafts;
    this.#graph = graph;
    this.#outcomes = outcomes;
    this.#dead = dead;
    this.#effort = effort;
  }

  /** Records that a step can start; producers come first. A step of a knot of cycles always may. */
  add(position: number, isKnot: boolean): void {
    if (isKnot || this.#hasFreeEdges(position)) this.#free.add(position);
  }

  /** False: it cannot start. True: it can, or it was not found out in time. */
  canStart(position: number): boolean {
    if (this.#hasFreeEdges(position)) return true;
    this.#visits = Math.min(MAX_VISITS, this.#effort.visits);
    this.#effort.visits -= this.#visits;
    const found = this.#start(position, () => true);
    this.#effort.visits += Math.max(0, this.#visits);
    this.#chosen.clear();
    this.#started.clear();
    return found;
  }

  /** Live edges that are needed beside the entries that name no step, which may always be live. */
  #required(position: number): number {
    const { join } = this.#drafts[position]!.step;
    const isRoot = this.#graph.incoming[position]!.length === 0;
    return isRoot ? 0 : (join === 'all' ? 1 : join) - this.#graph.unresolved[position]!;
  }

  /** Returns whether enough of its edges can be live with every outcome of other steps. */
  #hasFreeEdges(position: number): boolean {
    const isFree = (edge: DraftEdge) =>
      this.#free.has(edge.from) && this.#outcomes.isFree(edge, this.#outcomes.liveOn(edge));
    return this.#open(position).filter(isFree).length >= this.#required(position);
  }

  #open(position: number): DraftEdge[] {
    return this.#graph.incoming[position]!.filter(
      (edge) => !this.#dead.has(edge.from) && this.#outcomes.liveOn(edge).size > 0,
    );
  }

  /** Returns whether the step can start and `then` holds. */
  #start(position: number, then: () => boolean): boolean {
    if (this.#free.has(position) || this.#started.has(position)) return then();
    if (this.#isOver()) return true;
    this.#started.add(position);
    const found = this.#pick(this.#open(position), 0, this.#required(position), then);
    if (!found) this.#started.delete(position);
    return found;
  }

  /** Returns whether as many of the edges from the index on can be live, and `then` holds. */
  #pick(edges: readonly DraftEdge[], from: number, required: number, then: () => boolean): boolean {
    if (required <= 0) return then();
    for (let index = from; index + required <= edges.length; index++) {
      if (this.#isOver()) return true;
      if (this.#take(edges[index]!, () => this.#pick(edges, index + 1, required - 1, then))) return true;
    }
    return false;
  }

  #take(edge: DraftEdge, then: () => boolean): boolean {
    const { from } = edge;
    const live = this.#outcomes.liveOn(edge);
    if (this.#outcomes.isFree(edge, live)) return this.#start(from, then);
    const chosen = this.#chosen.get(from);
    if (chosen !== undefined) return live.has(chosen) && this.#start(from, then);
    for (const outcome of live) {
      this.#chosen.set(from, outcome);
      if (this.#start(from, then)) return true;
    }
    this.#chosen.delete(from);
    return false;
  }

  #isOver(): boolean {
    this.#visits -= 1;
    return this.#visits < 0;
  }
}
