/**
 * The calls that read graphs and states, for people and pages.
 */
import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { ReadingPort } from '../../services/reading/reading-answers.ts';
import type { ApiEnv } from '../context.ts';
import type { Router } from '../route.ts';
import { NameParamShape, VersionQueryShape } from '../template/bodies.ts';
import { GraphShape, StateQueryShape, StateShape } from './bodies.ts';
import { CompareQueryShape, CompareShape } from './compare-bodies.ts';

/** A version never changes, and its number is never given again. */
const IMMUTABLE = 'private, max-age=31536000, immutable';
/** May be kept, and is asked for each time. */
const REVALIDATED = 'private, no-cache';

/** Mounts the calls. */
export function addReadingRoutes(router: Router, { reading }: { reading: ReadingPort }): void {
  addGraph(router, reading);
  addState(router, reading);
  addCompare(router, reading);
}

function addGraph(router: Router, reading: ReadingPort): void {
  router.add({
    method: 'get',
    path: '/api/v1/templates/{name}/graph',
    access: 'viewer',
    tag: 'Templates',
    summary: 'Read the graph of a template version, in columns',
    description:
      'With `version` the answer never changes and may be kept for ever; without it `ETag` says whether it has.',
    params: NameParamShape,
    query: VersionQueryShape,
    headers: z.object({ 'If-None-Match': z.string().optional() }),
    responses: {
      200: { description: 'The graph', schema: GraphShape },
      304: { description: 'It is the one that the caller has' },
    },
    errors: ['template_not_found', 'unavailable'],
    async handle({ params, query }, { c, identity }) {
      const graph = await reading.graph(identity, params.name, query.version);
      const etag = `"${graph.hash}"`;
      c.header('ETag', etag);
      c.header('Cache-Control', query.version === undefined ? REVALIDATED : IMMUTABLE);
      return hasTag(c, etag) ? c.body(null, 304) : c.json(graph);
    },
  });
}

function hasTag(c: Context<ApiEnv>, etag: string): boolean {
  const known = c.req.header('If-None-Match');
  // Proxies that compress an answer make its tag weak.
  return known?.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag) ?? false;
}

function addState(router: Router, reading: ReadingPort): void {
  router.add({
    method: 'get',
    path: '/api/v1/execution/state',
    access: 'viewer',
    tag: 'Executions',
    summary: 'Read the state of an execution or of a scope, in columns',
    description: 'Of one moment, by the positions of the graph that `graph_hash` names.',
    query: StateQueryShape,
    responses: { 200: { description: 'The state', schema: StateShape } },
    errors: ['execution_not_found', 'scope_not_found', 'unavailable'],
    async handle({ query }, { c, identity }) {
      return c.json(await reading.state(identity, query));
    },
  });
}

function addCompare(router: Router, reading: ReadingPort): void {
  router.add({
    method: 'get',
    path: '/api/v1/execution/compare',
    access: 'viewer',
    tag: 'Executions',
    summary: 'Compare two executions of one template',
    description:
      'Also of two versions of it. Payloads are compared whole; those that differ are shown as they are when they are short, else as the beginning of their text.',
    query: CompareQueryShape,
    responses: { 200: { description: 'What differs, in breadth-first order', schema: CompareShape } },
    errors: ['execution_not_found', 'scope_not_found', 'not_comparable', 'outputs_too_large', 'unavailable'],
    async handle({ query }, { c, identity }) {
      return c.json(await reading.compare(identity, query));
    },
  });
}
