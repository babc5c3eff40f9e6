import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../tests/support/core/cases.ts';
import { reportShortly } from '../tests/support/core/counterexample.ts';
import { buildTemplate, chain, fanOut, orderFulfilment, templates } from '../tests/support/core/graphs.ts';
import { naiveDepth, naiveOrder } from '../tests/support/core/naive-order.ts';
import {
  allGraphs,
  compileGraph,
  type Graph,
  type GraphEdge,
  graphAt,
  isLive,
  liveRoute,
  pathAt,
  upstreamOf,
} from './graph.ts';
import { listSteps } from './scopes/step-list.ts';
import type { Template } from './template.ts';

function keysInRankOrder(graph: Graph): string[] {
  const places = graph.steps.map(({ key }, slot) => ({ key, rank: graph.rank[slot]! }));
  return places.sort((a, b) => a.rank - b.rank).map(({ key }) => key);
}

function requiredByKey(template: Template): Record<string, number> {
  const graph = compileGraph(template);
  return Object.fromEntries(graph.steps.map(({ key }, slot) => [key, graph.required[slot]!]));
}

function onlyEdge(template: Template): GraphEdge {
  return compileGraph(template).edges[0]!;
}

test('what is upstream of a step are its producers and what is upstream of them', () => {
  fc.assert(
    fc.property(templates(12), (template) => {
      const graph = compileGraph(template);
      const naive = (key: string): string[] =>
        template.steps.find((step) => step.key === key)!.edges.flatMap(({ from }) => [from, ...naive(from)]);
      for (const [slot, { key }] of graph.steps.entries()) {
        const wanted = new Set(naive(key));
        const found = upstreamOf(graph, slot);
        expect(found.map((other) => graph.steps[other]!.key)).toEqual(
          template.steps.map((step) => step.key).filter((other) => wanted.has(other)),
        );
      }
    }),
    cases(100),
  );
});

test('depth is the longest path and rank the breadth-first order, as plain recursion finds them', () => {
  fc.assert(
    fc.property(templates(12), (template) => {
      const graph = compileGraph(template);
      const depths = graph.steps.map(({ key }) => naiveDepth(template, key));
      expect([...graph.depth]).toEqual(depths);
      expect(keysInRankOrder(graph)).toEqual(naiveOrder(template));
    }),
    { ...cases(500), reporter: reportShortly },
  );
});

test('every edge is once in its producer’s outgoing and once in its consumer’s incoming edges', () => {
  fc.assert(
    fc.property(templates(12), (template) => {
      const { edges, incoming, outgoing } = compileGraph(template);
      expect(edges.map(({ id }) => id)).toEqual([...edges.keys()]);
      for (const edge of edges) {
        expect(incoming[edge.to]!.filter((other) => other === edge)).toHaveLength(1);
        expect(outgoing[edge.from]!.filter((other) => other === edge)).toHaveLength(1);
      }
      expect(incoming.flat()).toHaveLength(edges.length);
      expect(outgoing.flat()).toHaveLength(edges.length);
    }),
    { ...cases(200), reporter: reportShortly },
  );
});

test('a step deeper by one path than by another has the depth of the longer', () => {
  const graph = compileGraph(
    buildTemplate({ end: { needs: ['a', 'c'] }, a: {}, b: { needs: ['a'] }, c: { needs: ['b'] } }),
  );
  expect([...graph.depth]).toEqual([3, 0, 1, 2]);
});

test('priority ranks steps of one depth and never lifts a deeper one before a shallower', () => {
  const graph = compileGraph(
    buildTemplate({ deep: { needs: ['b'], priority: 9 }, a: {}, b: { priority: -1 }, c: { priority: 1 } }),
  );
  expect(keysInRankOrder(graph)).toEqual(['c', 'a', 'b', 'deep']);
});

test('required inputs are the distinct predecessors, n, one or none', () => {
  const three = ['a', 'b', 'c'];
  const roots = { a: {}, b: {}, c: {} };
  const template = buildTemplate({
    ...roots,
    all: { needs: [...three, { step: 'a', on: 'failure' }] },
    two: { needs: three, join: 2 },
    any: { needs: three, join: 'any' },
  });
  expect(requiredByKey(template)).toEqual({ a: 0, b: 0, c: 0, all: 3, two: 2, any: 1 });
});

test('a failure is handled by a failure or always edge and by no other', () => {
  const graph = compileGraph(
    buildTemplate({
      a: {},
      b: { needs: [{ step: 'a', on: 'failure' }] },
      c: { needs: [{ step: 'b', on: 'always' }] },
      d: { needs: ['c'] },
    }),
  );
  expect(graph.handlesFailure).toEqual([true, true, false, false]);
});

test('the order fulfilment has one root and three ways out of it', () => {
  const graph = compileGraph(orderFulfilment());
  const keys = (slots: readonly number[]) => slots.map((slot) => graph.steps[slot]!.key);
  expect(keys(graph.roots)).toEqual(['reserve']);
  expect(keys(graph.leaves)).toEqual(['ship', 'alert']);
  expect(keysInRankOrder(graph)).toEqual(['reserve', 'decide', 'alert', 'express', 'standard', 'ship']);
});

test('a chain and a fan-out of ten thousand steps compile', () => {
  expect(compileGraph(chain(10_000)).depth[9999]).toBe(9999);
  expect(compileGraph(fanOut(9998)).required[9999]).toBe(9998);
});

test('a routed edge is live only for a route it names, and a plain one ignores routes', () => {
  const routed = onlyEdge(buildTemplate({ a: {}, b: { needs: [{ step: 'a', route: ['x', 'y'] }] } }));
  expect(isLive(routed, 'completed', ['z', 'y'])).toBe(true);
  expect(isLive(routed, 'completed', ['z'])).toBe(false);
  expect(isLive(routed, 'completed', [])).toBe(false);
  expect(isLive(routed, 'completed', null)).toBe(false);
  expect(isLive(routed, 'failed', ['x'])).toBe(false);
  const plain = onlyEdge(buildTemplate({ a: {}, b: { needs: ['a'] } }));
  expect(isLive(plain, 'completed', [])).toBe(true);
});

test('an always edge is live for an end, good or bad, and dead for a skipped step', () => {
  const edge = onlyEdge(buildTemplate({ a: {}, b: { needs: [{ step: 'a', on: 'always' }] } }));
  expect(isLive(edge, 'completed', null)).toBe(true);
  expect(isLive(edge, 'failed', null)).toBe(true);
  expect(isLive(edge, 'skipped', null)).toBe(false);
});

test('two entries for one step are one edge, live when either is', () => {
  const needs = [
    { step: 'a', route: 'x' },
    { step: 'a', on: 'failure' as const },
  ];
  const graph = compileGraph(buildTemplate({ a: {}, b: { needs } }));
  expect(graph.edges).toHaveLength(1);
  expect(isLive(graph.edges[0]!, 'completed', ['x'])).toBe(true);
  expect(isLive(graph.edges[0]!, 'failed', null)).toBe(true);
  expect(isLive(graph.edges[0]!, 'completed', ['y'])).toBe(false);
});

test('the route of a live edge is the first of its own that the result names', () => {
  const edge = onlyEdge(buildTemplate({ a: {}, b: { needs: [{ step: 'a', route: ['x', 'y'] }] } }));
  expect(liveRoute(edge, ['y', 'x'])).toBe('x');
  expect(liveRoute(edge, ['y'])).toBe('y');
  expect(liveRoute(edge, null)).toBeNull();
});

/** `outer` holds `each`, which holds a scope, and `last`; `agent` holds two scopes with steps of one name. */
const nested = buildTemplate(
  {
    first: {},
    outer: {
      needs: ['first'],
      scopes: [{ each: { scopes: [{ key: {}, next: { needs: ['key'] } }] }, last: { needs: ['each'] } }],
    },
    agent: { needs: ['outer'], scopes: [{ look: {} }, { look: {}, first: { needs: ['look'] } }] },
  },
  'continue',
);

test('the steps of a scope are one run of positions, after those of the scope around it', () => {
  const graphs = allGraphs(compileGraph(nested));
  const positions = graphs.flatMap(({ firstPosition, steps }) =>
    steps.map((_, slot) => firstPosition + slot),
  );
  expect(positions).toEqual([...positions.keys()]);
  expect(positions.map((position) => pathAt(graphs, position))).toEqual([
    'first',
    'outer',
    'agent',
    'outer/each',
    'outer/last',
    'outer/each/key',
    'outer/each/next',
    'agent/look',
    'agent/1/look',
    'agent/1/first',
  ]);
  expect(listSteps(nested.steps).map(({ path }) => path)).toEqual(
    positions.map((position) => pathAt(graphs, position)),
  );
  for (const graph of graphs) {
    for (const slot of graph.steps.keys()) expect(graphAt(graphs, graph.firstPosition + slot)).toBe(graph);
  }
});

test('the graph of a scope has slots, edges and depths of its own, and the holder’s position', () => {
  const top = compileGraph(nested, 100);
  const [each] = top.inner[1]!;
  const [inner] = each!.inner[0]!;
  expect(top).toMatchObject({ size: 3, firstPosition: 100, held: null });
  expect(top.inner[0]).toEqual([]);
  expect(each).toMatchObject({ size: 2, firstPosition: 103, held: { holder: 101, path: 'outer' } });
  expect(inner).toMatchObject({ firstPosition: 105, held: { holder: 103, path: 'outer/each' } });
  expect(inner!.held!.scope).toBe(nested.steps[1]!.scopes[0]!.steps[0]!.scopes[0]!);
  expect([...inner!.slots]).toEqual([
    ['key', 0],
    ['next', 1],
  ]);
  expect([...inner!.depth]).toEqual([0, 1]);
  expect(inner!.edges.map(({ id, from, to }) => [id, from, to])).toEqual([[0, 0, 1]]);
});

test('a scope treats failures as its template does, and has no timeout of its own', () => {
  const graphs = allGraphs(compileGraph({ ...nested, timeoutMs: 1000 }));
  expect(graphs.map(({ onFailure }) => onFailure)).toEqual(Array(5).fill('continue'));
  expect(graphs.map(({ timeoutMs }) => timeoutMs)).toEqual([1000, null, null, null, null]);
});
