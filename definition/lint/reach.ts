/**
 * Finds steps that can never start: none of their edges can be live, or fewer at a time than the join needs.
 *
 * A step that ends has one outcome (outcomes.ts). Two edges that ask for different outcomes of one step are never live
 * together, and neither are two steps that can only run after such edges. For each step the check keeps which outcomes
 * of which earlier steps it depends on ("needs `decide` to have ended on `express`"), and counts for every outcome how
 * many edges of a join agree with it. That is quick and finds most. For the other joins that need several edges,
 * outcomes with which the step does start are searched (witness.ts).
 *
 * A step is not reported when all that it needs never starts: mending those mends it.
 *
 * Invariant 1: a reported start is impossible. The unknown (a broken entry, a cycle, a long history of choices) is
 * taken as possible.
 */

import type { ProblemList } from '../problem-list.ts';
import type { StepDraft } from '../step-draft.ts';
import type { DraftEdge } from './edges.ts';
import type { DraftGraph } from './graph.ts';
import { type Outcomes, StepOutcomes } from './outcomes.ts';
import { type Effort, WitnessSearch } from './witness.ts';

/** By position of an earlier step: the outcomes of it that allow this step to run. Others are free. */
type Demands = ReadonlyMap<number, Outcomes>;

type Verdict =
  | { starts: true; demands: Demands }
  | { starts: false; reason: 'unreachable' | 'impossible_join' };

const FREE: Demands = new Map();
/** Demands kept for a step, the latest: a chain of choices would otherwise be quadratic. */
const MAX_DEMANDS = 48;

/** Errors: steps that never start. Warnings: those that never start because a `when` is literally false. */
export function checkReachability(
  drafts: readonly StepDraft[],
  graph: DraftGraph,
  effort: Effort,
  errors: ProblemList,
  warnings: ProblemList,
): void {
  const outcomes = new StepOutcomes(drafts, graph);
  const possible = judge(drafts, graph, outcomes, effort, () => true);
  for (const [position, verdict] of possible.entries()) {
    if (!verdict.starts && !follows(graph.incoming[position]!, possible))
      report(drafts[position]!, verdict.reason, errors);
  }
  if (!drafts.some(({ step }) => step.when === false)) return;
  const enabled = judge(drafts, graph, outcomes, effort, (position) => drafts[position]!.step.when !== false);
  for (const [position, verdict] of enabled.entries()) {
    if (verdict.starts || !possible[position]!.starts) continue;
    const message = 'The step never starts: a step it depends on has "when: false" and is always skipped.';
    warnings.add(`${drafts[position]!.pointer}/needs`, 'unreachable_step', message);
  }
}

/** Returns whether a step never starts only because all the steps that it needs never start. */
function follows(edges: readonly DraftEdge[], verdicts: readonly Verdict[]): boolean {
  return edges.length > 0 && edges.every(({ from }) => !verdicts[from]!.starts);
}

function report(
  { step, pointer }: StepDraft,
  reason: 'unreachable' | 'impossible_join',
  errors: ProblemList,
): void {
  if (reason === 'unreachable') {
    const message = `No edge of the step "${step.key}" can ever be live, so it would always be skipped; mend its "needs".`;
    errors.add(`${pointer}/needs`, 'unreachable_step', message);
    return;
  }
  const asked = `"join" asks for ${step.join} live edges`;
  const message = `${asked}, but the steps it needs exclude each other, so that many are never live; lower "atLeast" or use any.`;
  errors.add(`${pointer}/join`, 'impossible_join', message);
}

interface Judgement {
  readonly drafts: readonly StepDraft[];
  readonly graph: DraftGraph;
  readonly verdicts: Verdict[];
  readonly outcomes: StepOutcomes;
  readonly search: WitnessSearch;
}

/** @param runs whether a step that starts also runs; one that does not has only dead edges */
function judge(
  drafts: readonly StepDraft[],
  graph: DraftGraph,
  outcomes: StepOutcomes,
  effort: Effort,
  runs: (position: number) => boolean,
): Verdict[] {
  const verdicts: Verdict[] = new Array(drafts.length);
  const dead = new Set<number>();
  const search = new WitnessSearch(drafts, graph, outcomes, dead, effort);
  const judgement: Judgement = { drafts, graph, verdicts, outcomes, search };
  for (const group of graph.groups) {
    for (const position of group) {
      const isKnot = group.length > 1;
      const verdict: Verdict = isKnot
        ? { starts: true, demands: FREE }
        : judgeStep(position, judgement, dead);
      verdicts[position] = verdict;
      if (!verdict.starts || !runs(position)) dead.add(position);
      else search.add(position, isKnot);
    }
  }
  return verdicts;
}

function judgeStep(position: number, judgement: Judgement, dead: ReadonlySet<number>): Verdict {
  const { drafts, graph } = judgement;
  const edges = graph.incoming[position]!;
  const unresolved = graph.unresolved[position]!;
  if (edges.length + unresolved === 0) return { starts: true, demands: FREE };
  const open = edges.filter((edge) => !dead.has(edge.from) && judgement.outcomes.liveOn(edge).size > 0);
  if (open.length + unresolved === 0) return { starts: false, reason: 'unreachable' };
  const { join } = drafts[position]!.step;
  const required = join === 'all' ? 1 : join;
  if (open.length + unresolved < required) return { starts: false, reason: 'impossible_join' };
  const demands = combine(
    open.map((edge) => demandsOf(edge, judgement)),
    unresolved,
    required,
  );
  if (demands === null) return { starts: false, reason: 'impossible_join' };
  // Where one edge is enough, its producer's way to start is a way for the step.
  return required - unresolved < 2 || judgement.search.canStart(position)
    ? { starts: true, demands }
    : { starts: false, reason: 'impossible_join' };
}

/** The demands for an edge to be live: those of its producer, and the outcome that the edge needs. */
function demandsOf(edge: DraftEdge, judgement: Judgement): Demands {
  const verdict = judgement.verdicts[edge.from];
  // Not judged yet: the two are in one knot of cycles.
  const inherited = verdict?.starts ? verdict.demands : FREE;
  const live = judgement.outcomes.liveOn(edge);
  if (judgement.outcomes.isFree(edge, live)) return inherited;
  const demands = new Map(inherited);
  demands.set(edge.from, live);
  return demands;
}

/**
 * The demands for `required` of the edges to be live together; null when they cannot be. `free` more edges are always
 * live.
 */
function combine(edges: readonly Demands[], free: number, required: number): Demands | null {
  if (edges.length === 1 && free === 0) return edges[0]!;
  const combined = new Map<number, Outcomes>();
  for (const [step, mentions] of mentionsOf(edges)) {
    const indifferent = free + edges.length - mentions.length;
    if (indifferent >= required) continue;
    const allowed = agreedBy(mentions, required - indifferent);
    if (allowed.size === 0) return null;
    combined.set(step, allowed);
  }
  return latest(combined);
}

/** For every step that an edge has a demand on: those demands. */
function mentionsOf(edges: readonly Demands[]): Map<number, Outcomes[]> {
  const mentions = new Map<number, Outcomes[]>();
  for (const demands of edges) {
    for (const [step, outcomes] of demands) {
      const known = mentions.get(step);
      if (known === undefined) mentions.set(step, [outcomes]);
      else known.push(outcomes);
    }
  }
  return mentions;
}

/** The outcomes that at least `wanted` of the demands allow. */
function agreedBy(mentions: readonly Outcomes[], wanted: number): Outcomes {
  const counts = new Map<number, number>();
  for (const outcomes of mentions) {
    for (const outcome of outcomes) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  }
  return new Set([...counts].filter(([, count]) => count >= wanted).map(([outcome]) => outcome));
}

function latest(demands: Map<number, Outcomes>): Demands {
  const excess = demands.size - MAX_DEMANDS;
  return excess <= 0 ? demands : new Map([...demands].slice(excess));
}
