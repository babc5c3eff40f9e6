/**
 * The calls that start, watch and stop executions.
 *
 * Not here: listing and cancelling (admin.ts).
 *
 * Invariant 1: a long poll ends when its client goes away, and answers with the present state when the server drains.
 */
import { z } from '@hono/zod-openapi';
import { EngineError } from '../../core/problem.ts';
import type { DryRunPort } from '../../services/control/pause-answers.ts';
import type { ExecutionServicePort, StartItem, StatusAnswer } from '../../services/execution-answers.ts';
import { type Identity, requireWorkspace } from '../auth.ts';
import { type BodyLimits, few } from '../body.ts';
import { DryRunShape } from '../control/bodies.ts';
import { answerPieces } from '../json-answer.ts';
import { check } from '../request-check.ts';
import type { Call, Router } from '../route.ts';
import {
  IdempotencyHeaderShape,
  StartedManyShape,
  StartedShape,
  StartShape,
  StatusQueryShape,
  StatusShape,
  StoppedShape,
  StopShape,
  startManyShape,
} from './bodies.ts';
import { ScopesQueryShape, ScopesShape } from './scope-bodies.ts';

const TAG = 'Executions';
const HeadersShape = z.object({ 'Idempotency-Key': IdempotencyHeaderShape.optional() });

export interface ExecutionRoutes {
  executions: ExecutionServicePort;
  dryRuns: DryRunPort;
  limits: BodyLimits;
  /** Most items of one start-many. */
  startMany: number;
  /** Reads large bodies; without it they are read as small ones are. */
  starts?: StartReader | undefined;
}

/** Reads and checks the bodies of starts beside the event loop. */
export interface StartReader {
  /** The items of a body of `start-many`, or the one of `start`. @throws EngineError */
  starts(kind: 'start' | 'start-many', owner: string, bytes: Uint8Array): Promise<StartItem[]>;
}

/** Mounts the execution calls. */
export function addExecutionRoutes(router: Router, routes: ExecutionRoutes): void {
  const { executions, dryRuns, limits } = routes;
  addStart(router, routes);
  addStartMany(router, routes);
  addStatus(router, executions);
  addScopes(router, executions);
  addStop(router, executions, dryRuns, few(limits));
}

function addStart(router: Router, { executions, limits, starts }: ExecutionRoutes): void {
  router.add({
    method: 'post',
    path: '/api/v1/execution/start',
    access: 'operator',
    tag: TAG,
    summary: 'Start an execution of a template',
    description:
      'The same idempotency key in a workspace returns the same execution with `created: false`; with another template, version or inputs it is refused.',
    headers: HeadersShape,
    body: {
      kind: 'json',
      schema: StartShape,
      limits,
      example: { template: 'order-fulfilment', inputs: { orderId: '42' } },
      readLarge:
        starts && (async (bytes, caller) => (await starts.starts('start', ownerOf(caller), bytes))[0]!),
    },
    responses: {
      202: { description: 'Started', schema: StartedShape },
      200: { description: 'Already existed', schema: StartedShape },
    },
    errors: [
      'template_not_found',
      'idempotency_conflict',
      'invalid_inputs',
      'idempotency_mismatch',
      'unavailable',
    ],
    async handle({ body }, { c, identity }) {
      const item = withHeaderKey(body, c.req.header('Idempotency-Key'));
      requireWorkspace(identity, item.workspace_id);
      const started = await executions.start(identity, item);
      return c.json(started, started.created ? 202 : 200);
    },
  });
}

function addStartMany(
  router: Router,
  { executions, limits, startMany: most, starts }: ExecutionRoutes,
): void {
  router.add({
    method: 'post',
    path: '/api/v1/execution/start-many',
    access: 'operator',
    tag: TAG,
    summary: `Start up to ${most} executions, all or none`,
    description: 'Idempotency keys belong to the items; the same key twice is one execution.',
    body: {
      kind: 'json',
      schema: startManyShape(most),
      limits,
      readLarge:
        starts &&
        (async (bytes, caller) => ({ items: await starts.starts('start-many', ownerOf(caller), bytes) })),
    },
    responses: { 202: { description: 'Started, in the order of the items', schema: StartedManyShape } },
    errors: ['template_not_found', 'idempotency_conflict', 'invalid_inputs', 'unavailable'],
    async handle({ body }, { c, identity }) {
      refuseHeaderKey(c.req.header('Idempotency-Key'));
      for (const item of body.items) requireWorkspace(identity, item.workspace_id);
      return c.json({ executions: await executions.startMany(identity, body.items) }, 202);
    },
  });
}

/** Workspaces take turns. */
function ownerOf({ workspaceId }: Identity): string {
  return workspaceId ?? '';
}

function addStatus(router: Router, executions: ExecutionServicePort): void {
  router.add({
    method: 'get',
    path: '/api/v1/execution/status',
    access: 'viewer',
    tag: TAG,
    summary: 'Read an execution and its steps, or wait for its end',
    query: StatusQueryShape,
    responses: { 200: { description: 'The execution', schema: StatusShape } },
    errors: ['execution_not_found', 'scope_not_found', 'outputs_too_large', 'unavailable'],
    async handle({ query }, call) {
      const { json } = await readStatus(executions, query, call);
      return answerPieces(call.c, json);
    },
  });
}

function addScopes(router: Router, executions: ExecutionServicePort): void {
  router.add({
    method: 'get',
    path: '/api/v1/execution/scopes',
    access: 'viewer',
    tag: TAG,
    summary: 'List the scopes of a step, such as the items of a foreach',
    description: 'By their index. A scope that was not opened yet is in no list.',
    query: ScopesQueryShape,
    responses: { 200: { description: 'A page of scopes', schema: ScopesShape } },
    errors: ['execution_not_found', 'scope_not_found', 'unavailable'],
    async handle({ query }, { c, identity }) {
      return c.json(await executions.scopes(identity, query));
    },
  });
}

function addStop(
  router: Router,
  executions: ExecutionServicePort,
  dryRuns: DryRunPort,
  limits: BodyLimits,
): void {
  router.add({
    method: 'post',
    path: '/api/v1/execution/stop',
    access: 'operator',
    tag: TAG,
    summary: 'Stop an execution gracefully',
    description:
      'Steps that have not started are cancelled at once; running ones get their grace time. A final execution stays as it is.',
    body: { kind: 'json', schema: StopShape, limits },
    responses: {
      200: {
        description: 'Stop requested, or already final, or what would be done',
        schema: z.union([StoppedShape, DryRunShape]),
      },
    },
    errors: ['execution_not_found', 'unavailable'],
    async handle({ body }, { c, identity }) {
      const { execution_id: id, reason = null, dry_run: isDry } = body;
      return c.json(
        await (isDry ? dryRuns.dryRun(identity, id, 'stop') : executions.stop(identity, id, reason)),
      );
    },
  });
}

async function readStatus(
  executions: ExecutionServicePort,
  query: z.output<typeof StatusQueryShape>,
  { c, identity }: Call,
): Promise<StatusAnswer> {
  const { execution_id: id, scope, wait: waitMs = 0 } = query;
  const options = { includeOutputs: query.include === 'outputs', scope };
  const client = c.req.raw.signal;
  const draining = c.env?.draining;
  const signal = draining === undefined || waitMs === 0 ? client : AbortSignal.any([client, draining]);
  try {
    return await executions.status(identity, id, { ...options, waitMs, signal });
  } catch (error) {
    if (!draining?.aborted || client.aborted || error instanceof EngineError) throw error;
    return executions.status(identity, id, { ...options, waitMs: 0, signal: client });
  }
}

/**
 * The item with the key of the header. Throws EngineError when header and body differ, or the header is not a valid
 * key.
 */
function withHeaderKey(item: StartItem, header: string | undefined): StartItem {
  if (header === undefined) return item;
  check(HeadersShape, { 'Idempotency-Key': header }, 'header');
  if (item.idempotency_key !== undefined && item.idempotency_key !== header) {
    throw new EngineError(
      'idempotency_mismatch',
      'The Idempotency-Key header and idempotency_key differ. Send the key in one place, or the same in both.',
    );
  }
  return { ...item, idempotency_key: header };
}

function refuseHeaderKey(header: string | undefined): void {
  if (header === undefined) return;
  const message = 'start-many takes no Idempotency-Key header; give each item its own idempotency_key.';
  throw new EngineError('validation_failed', message, [
    { pointer: '/Idempotency-Key', code: 'not_allowed', message },
  ]);
}
