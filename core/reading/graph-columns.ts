/**
 * The graph of a template version in columns, as readers get it: one entry for each step, by position, and one for each edge.
 *
 * A position counts the steps of one graph from 0, without compensations. The graphs of scopes have positions of their own.
 */
import { createHash } from 'node:crypto';
import type { Graph, GraphEdge } from '../graph.ts';
import type { EdgeOn } from '../template.ts';

export type JoinColumn = 'all' | { readonly at_least: number; readonly cancel_losers: boolean };

/** Null: the edge ignores routes. */
export type RouteColumn = string | readonly string[] | null;

export interface ScopeColumns {
  /** Key of the step that holds the scope. */
  readonly key: string;
  /** The place of the scope among those of its step, such as the tools of an agent. */
  readonly part: number;
  readonly graph: GraphColumns;
}

export interface GraphColumns {
  /** SHA-256 of the rest. */
  readonly hash: string;
  readonly keys: readonly string[];
  /** Names of step types, each once. */
  readonly types: readonly string[];
  /** By position: the place in `types`. */
  readonly type: readonly number[];
  readonly depth: readonly number[];
  readonly rank: readonly number[];
  readonly join: readonly JoinColumn[];
  /** By edge: positions. */
  readonly from: readonly number[];
  readonly to: readonly number[];
  /** A list where several entries of `needs` are one edge: its routes are a list then, too. */
  readonly on: readonly (EdgeOn | readonly EdgeOn[])[];
  readonly route: readonly (RouteColumn | readonly RouteColumn[])[];
  readonly scopes: readonly ScopeColumns[];
}

const COLUMNS = new WeakMap<Graph, GraphColumns>();

/** Returns the columns of a graph and of all scopes in it. Made once for each graph; recurses as deep as scopes are nested. */
export function graphColumns(graph: Graph): GraphColumns {
  const known = COLUMNS.get(graph);
  if (known !== undefined) return known;
  const columns = makeColumns(graph);
  const hash = createHash('sha256').update(JSON.stringify(columns)).digest('hex');
  const made = { hash, ...columns };
  COLUMNS.set(graph, made);
  return made;
}

function makeColumns(graph: Graph): Omit<GraphColumns, 'hash'> {
  const steps = graph.steps.slice(0, graph.size);
  const types = [...new Set(steps.map(({ type }) => type))];
  const placeOf = new Map(types.map((name, place) => [name, place]));
  return {
    keys: steps.map(({ key }) => key),
    types,
    type: steps.map(({ type }) => placeOf.get(type)!),
    depth: [...graph.depth.subarray(0, graph.size)],
    rank: [...graph.rank.subarray(0, graph.size)],
    join: steps.map(({ join, cancelsLosers }) =>
      join === 'all' ? join : { at_least: join, cancel_losers: cancelsLosers },
    ),
    from: graph.edges.map(({ from }) => from),
    to: graph.edges.map(({ to }) => to),
    on: graph.edges.map(({ conditions }) => single(conditions.map(({ on }) => on))),
    route: graph.edges.map(routeColumn),
    scopes: steps.flatMap(({ key }, slot) =>
      graph.inner[slot]!.map((inner, part) => ({ key, part, graph: graphColumns(inner) })),
    ),
  };
}

function routeColumn({ conditions }: GraphEdge): RouteColumn | readonly RouteColumn[] {
  return single(conditions.map(({ routes }) => (routes === null ? null : single(routes))));
}

/** Returns the one entry of a list, or the list. */
function single<T>(list: readonly T[]): T | readonly T[] {
  return list.length === 1 ? list[0]! : list;
}
