/**
 * The steps of one scope compiled to arrays: edges, depth, breadth-first rank and joins, by slot.
 *
 * A slot is the place of a step in the view of its scope; a position is its place in the template's list of all steps.
 * At the top level they are equal. The list has the steps of a scope in one run, followed by those of the scopes inside.
 *
 * Compiled once per template version and shared by every execution of it; nothing in it changes.
 * The definition has been checked (acyclic, every `needs` known): compile trusts it.
 */
import { scopePath, stepPath } from './scopes/step-path.ts';
import type { EdgeCondition, OnExhausted, ScopeTemplate, Template, TemplateStep } from './template.ts';

/** An edge as it stood when a join was decided: what the step's `received_inputs` shows. */
export interface ReceivedInput {
  readonly key: string;
  readonly live: boolean;
  readonly route: string | null;
}

export interface GraphEdge {
  readonly id: number;
  readonly from: number;
  readonly to: number;
  readonly conditions: readonly EdgeCondition[];
  /** The two usual cases, made once: no route named. */
  readonly whenLive: ReceivedInput;
  readonly whenDead: ReceivedInput;
}

export interface Graph {
  /** Steps of the scope, without compensations. */
  readonly size: number;
  /** By slot: the steps, and behind them the compensations of those that have one. */
  readonly steps: readonly TemplateStep[];
  /** The slots of the steps that have a compensation: `size + n` undoes the n-th of them. */
  readonly compensated: readonly number[];
  /** The slots of the steps in whose scopes something has a compensation, at any depth. */
  readonly undoneInside: readonly number[];
  readonly onFailure: Template['onFailure'];
  /** Timeout of the whole execution; null: none. */
  readonly timeoutMs: number | null;
  /** Slots by step key. */
  readonly slots: ReadonlyMap<string, number>;
  /** The position of slot 0: a template lists the steps of a scope in one run. */
  readonly firstPosition: number;
  readonly edges: readonly GraphEdge[];
  /** Incoming edges by slot, in `needs` order. */
  readonly incoming: readonly (readonly GraphEdge[])[];
  readonly outgoing: readonly (readonly GraphEdge[])[];
  /** Longest path from a root, by slot. */
  readonly depth: Int32Array;
  /** Place in the breadth-first order: depth, then priority (higher first), then definition order. */
  readonly rank: Int32Array;
  /** `required_inputs`: distinct predecessors (all), n (atLeast), 1 (any), 0 for a root. */
  readonly required: Int32Array;
  /** Steps that a join which cancels losers may cancel, by slot; null: no join does. */
  readonly mayLose: readonly boolean[] | null;
  /** Whether a final failure of the step makes an edge live. */
  readonly handlesFailure: readonly boolean[];
  /** Whether a step that would fail for good pauses its execution, by slot; null: no step does. */
  readonly pauses: readonly boolean[] | null;
  /** The largest number of steps at one depth: about as many may be ready at once. */
  readonly width: number;
  readonly roots: readonly number[];
  readonly leaves: readonly number[];
  /** By slot: the graphs of the scopes that the step holds, in the order of its `scopes`. */
  readonly inner: readonly (readonly Graph[])[];
  /** Null: the top level. */
  readonly held: HeldGraph | null;
}

/** The place of a graph that is not of the top level. */
export interface HeldGraph {
  readonly scope: ScopeTemplate;
  /** Position of the step that holds the scope. */
  readonly holder: number;
  /** As `scopePath` makes it: `outer/each`. */
  readonly path: string;
}

/**
 * Compiles a template and all scopes in it; recurses as deep as scopes are nested.
 * @param firstPosition the position of the first step; 0: the top level
 */
export function compileGraph(template: Template, firstPosition = 0): Graph {
  return compileScope(template, null, {
    onFailure: template.onFailure,
    onExhausted: template.onExhausted ?? 'fail',
    nextPosition: firstPosition,
  });
}

interface Compilation {
  /** An unhandled failure inside a scope does there what it does at the top level; either way its scope fails. */
  readonly onFailure: Template['onFailure'];
  readonly onExhausted: OnExhausted;
  nextPosition: number;
}

function compileScope(
  { steps, timeoutMs = null }: { steps: readonly TemplateStep[]; timeoutMs?: number | null },
  held: HeldGraph | null,
  compilation: Compilation,
): Graph {
  const firstPosition = compilation.nextPosition;
  const compensated = at(steps, (slot) => steps[slot]!.compensation !== null);
  compilation.nextPosition += steps.length + compensated.length;
  const slots = new Map(steps.map((step, slot) => [step.key, slot]));
  const edges = collectEdges(steps, slots);
  const incoming: GraphEdge[][] = steps.map(() => []);
  const outgoing: GraphEdge[][] = steps.map(() => []);
  for (const edge of edges) {
    incoming[edge.to]!.push(edge);
    outgoing[edge.from]!.push(edge);
  }
  const depth = longestPaths(incoming, outgoing);
  const inner = steps.map((step, slot) => compileInner(step, firstPosition + slot, held, compilation));
  return withCompensations(compensated, {
    size: steps.length,
    steps,
    compensated,
    undoneInside: at(inner, (slot) => inner[slot]!.some(hasCompensations)),
    onFailure: compilation.onFailure,
    timeoutMs,
    slots,
    firstPosition,
    edges,
    incoming,
    outgoing,
    depth,
    rank: breadthFirstRanks(steps, depth),
    required: Int32Array.from(steps, (step, at) => (step.join === 'all' ? incoming[at]!.length : step.join)),
    mayLose: findMayLose(steps, incoming),
    handlesFailure: outgoing.map(handlesFailure),
    pauses: held === null ? findPausing(steps, outgoing, compilation.onExhausted) : null,
    width: widest(depth),
    roots: at(steps, (slot) => incoming[slot]!.length === 0),
    leaves: at(steps, (slot) => outgoing[slot]!.length === 0),
    inner,
    held,
  });
}

function handlesFailure(outgoing: readonly GraphEdge[]): boolean {
  return outgoing.some((edge) => edge.conditions.some(({ on }) => on !== 'success'));
}

/** The definition's word is for steps whose failure nothing handles, that of a step for the step alone. */
function findPausing(
  steps: readonly TemplateStep[],
  outgoing: readonly (readonly GraphEdge[])[],
  byDefault: OnExhausted,
): readonly boolean[] | null {
  const pauses = steps.map(({ onExhausted }, slot) =>
    onExhausted === undefined
      ? byDefault === 'pause' && !handlesFailure(outgoing[slot]!)
      : onExhausted === 'pause',
  );
  return pauses.includes(true) ? pauses : null;
}

function hasCompensations({ compensated, undoneInside }: Graph): boolean {
  return compensated.length + undoneInside.length > 0;
}

/** Adds the slots of compensations: they have no edges, and their failure fails nothing. */
function withCompensations(compensated: readonly number[], graph: Graph): Graph {
  if (compensated.length === 0) return graph;
  const none = compensated.map(() => NO_EDGES);
  const added = { length: compensated.length };
  return {
    ...graph,
    steps: [...graph.steps, ...compensated.map((slot) => graph.steps[slot]!.compensation!)],
    incoming: [...graph.incoming, ...none],
    outgoing: [...graph.outgoing, ...none],
    depth: Int32Array.from([...graph.depth, ...compensated.map((slot) => graph.depth[slot]!)]),
    rank: Int32Array.from([...graph.rank, ...Array.from(added, (_, place) => graph.size + place)]),
    required: Int32Array.from([...graph.required, ...Array.from(added, () => 0)]),
    handlesFailure: [...graph.handlesFailure, ...compensated.map(() => true)],
    inner: [...graph.inner, ...compensated.map(() => NO_GRAPHS)],
  };
}

const NO_EDGES: readonly GraphEdge[] = Object.freeze([]);

const NO_GRAPHS: readonly Graph[] = Object.freeze([]);

function compileInner(
  { key, scopes }: TemplateStep,
  holder: number,
  around: HeldGraph | null,
  compilation: Compilation,
): readonly Graph[] {
  if (scopes.length === 0) return NO_GRAPHS;
  const path = stepPath(around?.path ?? '', key);
  return scopes.map((scope, number) =>
    compileScope(scope, { scope, holder, path: scopePath(path, number) }, compilation),
  );
}

/** Returns the graph and all graphs inside it, in the order of their positions. */
export function allGraphs(graph: Graph): readonly Graph[] {
  const graphs: Graph[] = [];
  const open = [graph];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    graphs.push(next);
    for (const held of next.inner.toReversed()) for (const inner of held.toReversed()) open.push(inner);
  }
  return graphs;
}

/** Returns the graph that has the step at a position. @param graphs `allGraphs` of the top level */
export function graphAt(graphs: readonly Graph[], position: number): Graph {
  let from = 0;
  for (let to = graphs.length; to - from > 1; ) {
    const middle = (from + to) >>> 1;
    if (graphs[middle]!.firstPosition <= position) from = middle;
    else to = middle;
  }
  return graphs[from]!;
}

/** Returns the path of the step at a position: `each/key`, or its key at the top level. */
export function pathAt(graphs: readonly Graph[], position: number): string {
  const graph = graphAt(graphs, position);
  return stepPath(graph.held?.path ?? '', graph.steps[position - graph.firstPosition]!.key);
}

/** Statuses of a producer that resolve its edges; `cancelled`: only as the loser of a race. */
export type ResolvingStatus = 'completed' | 'failed' | 'skipped' | 'cancelled';

/** Returns whether an edge is live once its producer is settled. */
export function isLive(edge: GraphEdge, status: ResolvingStatus, routes: readonly string[] | null): boolean {
  if (status === 'skipped' || status === 'cancelled') return false;
  return edge.conditions.some((condition) => {
    if (condition.on === 'always') return true;
    if (condition.on === 'failure') return status === 'failed';
    if (status !== 'completed') return false;
    return condition.routes === null || condition.routes.some((route) => routes?.includes(route) ?? false);
  });
}

/** Returns the slots of all steps with a path of edges to the step, in definition order. */
export function upstreamOf({ incoming }: Pick<Graph, 'incoming'>, slot: number): number[] {
  const isUpstream = upstreamOfAny(incoming, [slot]);
  return at(incoming, (other) => isUpstream[other]!);
}

function upstreamOfAny(incoming: Graph['incoming'], slots: readonly number[]): boolean[] {
  const isUpstream: boolean[] = new Array(incoming.length).fill(false);
  const open = [...slots];
  while (open.length > 0) {
    for (const { from } of incoming[open.pop()!]!) {
      if (isUpstream[from]) continue;
      isUpstream[from] = true;
      open.push(from);
    }
  }
  return isUpstream;
}

function findMayLose(steps: readonly TemplateStep[], incoming: Graph['incoming']): boolean[] | null {
  const joins = at(steps, (slot) => steps[slot]!.cancelsLosers);
  return joins.length === 0 ? null : upstreamOfAny(incoming, joins);
}

/** The route that made an edge live; null when none did. */
export function liveRoute(edge: GraphEdge, routes: readonly string[] | null): string | null {
  if (routes === null) return null;
  for (const condition of edge.conditions) {
    const named = condition.routes?.find((route) => routes.includes(route));
    if (named !== undefined) return named;
  }
  return null;
}

function collectEdges(steps: readonly TemplateStep[], slots: ReadonlyMap<string, number>): GraphEdge[] {
  const edges: GraphEdge[] = [];
  for (const [to, step] of steps.entries()) {
    for (const { from, conditions } of step.edges) {
      edges.push({
        id: edges.length,
        from: slots.get(from)!,
        to,
        conditions,
        whenLive: { key: from, live: true, route: null },
        whenDead: { key: from, live: false, route: null },
      });
    }
  }
  return edges;
}

function longestPaths(
  incoming: readonly (readonly GraphEdge[])[],
  outgoing: readonly (readonly GraphEdge[])[],
): Int32Array {
  const depth = new Int32Array(incoming.length);
  const open = Int32Array.from(incoming, (list) => list.length);
  const settled = at(incoming, (slot) => open[slot] === 0);
  for (let next = 0; next < settled.length; next++) {
    const from = settled[next]!;
    for (const { to } of outgoing[from]!) {
      depth[to] = Math.max(depth[to]!, depth[from]! + 1);
      open[to]! -= 1;
      if (open[to] === 0) settled.push(to);
    }
  }
  return depth;
}

function widest(depth: Int32Array): number {
  const counts = new Int32Array(depth.length);
  for (const level of depth) counts[level]! += 1;
  return counts.reduce((most, count) => Math.max(most, count), 0);
}

function breadthFirstRanks(steps: readonly TemplateStep[], depth: Int32Array): Int32Array {
  const order = steps.map((_, slot) => slot);
  order.sort((a, b) => depth[a]! - depth[b]! || steps[b]!.priority - steps[a]!.priority || a - b);
  const rank = new Int32Array(steps.length);
  for (const [place, slot] of order.entries()) rank[slot] = place;
  return rank;
}

function at(list: readonly unknown[], holds: (slot: number) => boolean): number[] {
  return [...list.keys()].filter(holds);
}
