/**
 * The calls of workers outside: they claim tasks, say that they are alive, and bring results.
 *
 * Invariant 1: a long poll ends when its client goes away, and with what there is when the server drains.
 */
import { z } from '@hono/zod-openapi';
import { DURATION_ACCEPTED, parseDuration } from '../../core/time/duration.ts';
import { MAX_CLAIMED, MAX_QUEUE_LENGTH, MAX_WORKER_LENGTH } from '../../core/waits/task-bounds.ts';
import type { TaskServicePort } from '../../services/tasks/task-answers.ts';
import { type BodyLimits, few } from '../body.ts';
import { IdShape, JsonShape, MAX_WAIT_MS } from '../execution/bodies.ts';
import { answerPieces } from '../json-answer.ts';
import type { Router } from '../route.ts';
import { AnsweredShape, ErrorShape } from '../step/bodies.ts';

const TAG = 'Tasks';

export interface TaskRoutes {
  tasks: TaskServicePort;
  limits: BodyLimits;
}

const ClaimShape = z
  .strictObject({
    queue: z.string().min(1).max(MAX_QUEUE_LENGTH),
    worker: z
      .string()
      .min(1)
      .max(MAX_WORKER_LENGTH)
      .openapi({ description: 'Names the worker; shown as `claimed_by`.' }),
    max: z.int().min(1).max(MAX_CLAIMED).optional().openapi({ description: 'Default 1.' }),
    wait: z
      .union([z.string(), z.number()])
      .refine((value) => parseDuration(value) !== null, {
        error: `wait is ${DURATION_ACCEPTED}.`,
        params: { code: 'wrong_format' },
      })
      .transform((value) => Math.min(parseDuration(value) ?? 0, MAX_WAIT_MS))
      .optional()
      .openapi({
        type: 'string',
        example: '30s',
        description: 'Waits so long for a task, at most 60s; default 0.',
      }),
  })
  .openapi('ClaimTasks');

const TasksShape = z
  .object({
    tasks: z.array(
      z.object({
        id: z.guid(),
        token: z.guid(),
        input: JsonShape,
        attempt: z.int(),
        idempotency_key: z.string(),
        lease_seconds: z.number(),
      }),
    ),
  })
  .openapi('ClaimedTasks');

const TokenShape = z.guid().toLowerCase().openapi({ description: 'The token of the claim.' });
const HeartbeatShape = z.strictObject({ token: TokenShape }).openapi('Heartbeat');
const ResultShape = z
  .strictObject({ token: TokenShape, output: JsonShape.optional() })
  .openapi('CompleteTask');
const FailureShape = z
  .strictObject({ token: TokenShape, error: ErrorShape, retryable: z.boolean().optional() })
  .openapi('FailTask');
const ParamsShape = z.object({ id: IdShape });
const ERRORS = ['step_not_found', 'wrong_state', 'task_over', 'stale_token', 'unavailable'] as const;

/** Mounts the calls of workers. */
export function addTaskRoutes(router: Router, { tasks, limits }: TaskRoutes): void {
  addClaim(router, tasks, few(limits));
  router.add({
    method: 'post',
    path: '/api/v1/tasks/{id}/heartbeat',
    access: 'operator',
    tag: TAG,
    summary: 'Renew the lease of a claimed task',
    params: ParamsShape,
    body: { kind: 'json', schema: HeartbeatShape, limits: few(limits) },
    responses: {
      200: { description: 'Renewed', schema: z.object({ id: z.guid(), lease_seconds: z.number() }) },
    },
    errors: ERRORS,
    handle: async ({ params, body }, { c, identity }) =>
      c.json(await tasks.heartbeat(identity, params.id, body.token)),
  });
  router.add({
    method: 'post',
    path: '/api/v1/tasks/{id}/complete',
    access: 'operator',
    tag: TAG,
    summary: 'Complete a claimed task',
    params: ParamsShape,
    body: { kind: 'json', schema: ResultShape, limits },
    responses: { 200: { description: 'Completed', schema: AnsweredShape } },
    errors: ERRORS,
    handle: async ({ params, body }, { c, identity }) =>
      c.json(await tasks.complete(identity, params.id, body.token, body.output)),
  });
  router.add({
    method: 'post',
    path: '/api/v1/tasks/{id}/fail',
    access: 'operator',
    tag: TAG,
    summary: 'Fail a claimed task',
    params: ParamsShape,
    body: { kind: 'json', schema: FailureShape, limits: few(limits) },
    responses: { 200: { description: 'Failed, or waiting for its retry', schema: AnsweredShape } },
    errors: ERRORS,
    handle: async ({ params, body: { token, ...body } }, { c, identity }) =>
      c.json(await tasks.fail(identity, params.id, token, body)),
  });
}

function addClaim(router: Router, tasks: TaskServicePort, limits: BodyLimits): void {
  router.add({
    method: 'post',
    path: '/api/v1/tasks/claim',
    access: 'operator',
    tag: TAG,
    summary: 'Claim tasks of a queue, or wait for one',
    description:
      'Each task comes with a token for its heartbeats and its result, and with a lease that heartbeats renew.',
    body: {
      kind: 'json',
      schema: ClaimShape,
      limits,
      example: { queue: 'images', worker: 'worker-1', max: 5, wait: '30s' },
    },
    responses: { 200: { description: 'The tasks, maybe none', schema: TasksShape } },
    errors: ['unavailable'],
    async handle({ body: { wait = 0, ...body } }, { c, identity }) {
      const client = c.req.raw.signal;
      const draining = c.env?.draining;
      const signal = draining === undefined ? client : AbortSignal.any([client, draining]);
      return answerPieces(c, await tasks.claim(identity, body, wait, signal));
    },
  });
}
