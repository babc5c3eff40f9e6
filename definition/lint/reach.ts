/**
 * Which steps can never start: no edge of theirs can be live, or fewer at a time than the join asks for.
 *
 * A step that ends has one outcome: it failed, it completed, or (a switch that takes one route) it completed on
 * that route. Two edges that ask for different outcomes of one step are never live together, and neither are two
 * steps that can only run after such edges. For each step the check keeps which outcomes of which earlier steps
 * it depends on ("needs `decide` to have ended on `express`"), and counts for every outcome how many edges of a
 * join agree with it.
 *
 * Invariant 1: what is reported cannot happen. What is not known (a broken entry, a cycle, a long history of
 * choices) is taken as possible.
 */

import type { EdgeCondition } from '../../core/template.ts';
import type { ProblemList } from '../problem-list.ts';
import type { StepDraft } from '../step.ts';
import type { DraftEdge } from './edges.ts';
import type { DraftGraph } from './graph.ts';

type Outcomes = ReadonlySet<string>;
/** By position of an earlier step: the outcomes of it that allow this step to run. Others are free. */
type Demands = ReadonlyMap<number, Outcomes>;

type Verdict =
  | { starts: true; demands: Demands }
  | { starts: false; reason: 'unreachable' | 'impossible_join' };

const FREE: Demands = new Map();
const FAILED = 'failed';
const COMPLETED = 'completed';
/** Demands kept for a step, the latest: a chain of choices would otherwise be quadratic. */
const MAX_DEMANDS = 48;
/** Routes of a switch up to which its outcomes are told apart. */
const MAX_ROUTES = 64;

/** Errors: steps that never start. Warnings: those that never start because a `when` is literally false. */
export function checkReachability(
  drafts: readonly StepDraft[],
  graph: DraftGraph,
  errors: ProblemList,
  warnings: ProblemList,
): void {
  const possible = judge(drafts, graph, () => true);
  for (const [position, verdict] of possible.entries()) {
    if (!verdict.starts) report(drafts[position]!, verdict.reason, errors);
  }
  if (!drafts.some(({ step }) => step.when === false)) return;
  const enabled = judge(drafts, graph, (position) => drafts[position]!.step.when !== false);
  for (const [position, verdict] of enabled.entries()) {
    if (verdict.starts || !possible[position]!.starts) continue;
    const message = 'The step never starts: a step it depends on has "when: false" and is always skipped.';
    warnings.add(`${drafts[position]!.pointer}/needs`, 'unreachable_step', message);
  }
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
  /** By position: whether edges of the step ask for different outcomes. */
  readonly told: readonly boolean[];
  /** By position: every outcome on which the step completed, shared by its plain success edges. */
  readonly completions: Map<number, Outcomes>;
}

/** @param runs whether a step that starts also runs; one that does not has only dead edges */
function judge(
  drafts: readonly StepDraft[],
  graph: DraftGraph,
  runs: (position: number) => boolean,
): Verdict[] {
  const verdicts: Verdict[] = new Array(drafts.length);
  const told = stepsToTell(drafts.length, graph);
  const judgement: Judgement = { drafts, graph, verdicts, told, completions: new Map() };
  const dead = new Set<number>();
  for (const group of graph.groups) {
    for (const position of group) {
      const verdict: Verdict =
        group.length > 1 ? { starts: true, demands: FREE } : judgeStep(position, judgement, dead);
      verdicts[position] = verdict;
      if (!verdict.starts || !runs(position)) dead.add(position);
    }
  }
  return verdicts;
}

/** A step is told apart by its outcomes when a failure edge, or a route, excludes another edge of it. */
function stepsToTell(size: number, graph: DraftGraph): boolean[] {
  const told = new Array<boolean>(size).fill(false);
  for (const edges of graph.incoming) {
    for (const { from, conditions } of edges) {
      if (conditions.every(({ on, routes }) => on === 'failure' || routes !== null)) told[from] = true;
    }
  }
  return told;
}

function judgeStep(position: number, judgement: Judgement, dead: ReadonlySet<number>): Verdict {
  const { drafts, graph } = judgement;
  const edges = graph.incoming[position]!;
  const unresolved = graph.unresolved[position]!;
  if (edges.length + unresolved === 0) return { starts: true, demands: FREE };
  const open = edges.filter(({ from, conditions }) => !dead.has(from) && conditions.length > 0);
  if (open.length + unresolved === 0) return { starts: false, reason: 'unreachable' };
  const { join } = drafts[position]!.step;
  const required = join === 'all' ? 1 : join;
  if (open.length + unresolved < required) return { starts: false, reason: 'impossible_join' };
  const demands = combine(
    open.map((edge) => demandsOf(edge, judgement)),
    unresolved,
    required,
  );
  return demands === null ? { starts: false, reason: 'impossible_join' } : { starts: true, demands };
}

/** What must be so for an edge to be live: the demands of its producer, and the outcome it asks of it. */
function demandsOf(edge: DraftEdge, judgement: Judgement): Demands {
  const verdict = judgement.verdicts[edge.from];
  // Not judged yet: the two are in one knot of cycles.
  const inherited = verdict?.starts ? verdict.demands : FREE;
  const outcomes = judgement.told[edge.from] ? outcomesOf(edge, judgement) : null;
  if (outcomes === null) return inherited;
  const demands = new Map(inherited);
  demands.set(edge.from, outcomes);
  return demands;
}

/** Null when the edge is live on every outcome. */
function outcomesOf({ from, conditions }: DraftEdge, judgement: Judgement): Outcomes | null {
  const outcomes = new Set<string>();
  for (const condition of conditions) {
    if (condition.on === 'always') return null;
    for (const outcome of outcomesFor(condition, from, judgement)) outcomes.add(outcome);
  }
  return outcomes;
}

function outcomesFor({ on, routes }: EdgeCondition, from: number, judgement: Judgement): Iterable<string> {
  if (on === 'failure') return [FAILED];
  const all = completionsOf(from, judgement);
  return routes === null || all.size === 1 ? all : routes.map(onRoute);
}

function onRoute(route: string): string {
  return `${COMPLETED} ${route}`;
}

function completionsOf(position: number, { drafts, graph, completions }: Judgement): Outcomes {
  const known = completions.get(position);
  if (known !== undefined) return known;
  const routes = graph.routes[position];
  const single = takesOneRoute(drafts[position]!) && routes != null && routes.length <= MAX_ROUTES;
  const outcomes = new Set(single ? [COMPLETED, ...routes.map(onRoute)] : [COMPLETED]);
  completions.set(position, outcomes);
  return outcomes;
}

/** Only the built-in switch promises to take one route at most, and not with `multiple` (which may be an expression). */
function takesOneRoute({ type, step }: StepDraft): boolean {
  const multiple = step.with?.multiple;
  return type?.type === 'switch' && (multiple === undefined || multiple === false);
}

/**
 * What must be so for `required` of the edges to be live together; null when nothing can be.
 * `free` more edges are live whatever happened.
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
  const counts = new Map<string, number>();
  for (const outcomes of mentions) {
    for (const outcome of outcomes) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  }
  return new Set([...counts].filter(([, count]) => count >= wanted).map(([outcome]) => outcome));
}

function latest(demands: Map<number, Outcomes>): Demands {
  const excess = demands.size - MAX_DEMANDS;
  return excess <= 0 ? demands : new Map([...demands].slice(excess));
}
