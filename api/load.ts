/**
 * The calls on the load of all engines: the queues, and the engines that work on them.
 */
import { z } from '@hono/zod-openapi';
import {
  type LoadPort,
  type QueuesBody,
  WORKER_STATUSES,
  type WorkerBody,
} from '../services/load/load-answers.ts';
import type { Page } from '../services/page.ts';
import { InstantShape } from './execution/bodies.ts';
import { PageQueryShape, pageShape } from './page.ts';
import type { Router } from './route.ts';

const TAG = 'Administration';

const ready = {
  depth: z.int().openapi({ description: 'Exact up to 10,000, and that number beyond it.' }),
  oldest_age_seconds: z.number().openapi({ description: 'How long the oldest has been ready.' }),
};

const QueueShape = z.object({ queue: z.string(), ...ready });

const QueuesShape = pageShape(QueueShape)
  .extend({
    step_types: z
      .array(
        z.object({
          type: z.string(),
          ...ready,
          engines: z.int().openapi({ description: 'Living engines that have the type.' }),
        }),
      )
      .openapi({ description: 'Ready steps by type, the most first, at most 100.' }),
    workspaces: z
      .array(z.object({ workspace_id: z.guid().nullable(), ...ready }))
      .openapi({ description: 'Ready steps and executions in line by workspace, at most 100.' }),
    task_queues: z
      .array(QueueShape)
      .openapi({ description: 'Free tasks by the queue from which workers claim them, at most 100.' }),
  })
  .openapi('Queues') satisfies z.ZodType<QueuesBody>;

const WorkersShape = pageShape(
  z.object({
    id: z.guid(),
    status: z.enum(WORKER_STATUSES).openapi({
      description: '`late`: a heartbeat is missing, and the engine is being judged dead.',
    }),
    role: z.string(),
    host: z.string(),
    pid: z.int(),
    version: z.string(),
    capacity: z.int().openapi({ description: 'Steps that it runs at once; 0: it runs none.' }),
    used: z.int(),
    step_types: z.array(z.string()).nullable(),
    started_at: InstantShape,
    heartbeat_at: InstantShape,
    dead_at: InstantShape.nullable().openapi({
      description: 'Of one that is late: when it counts as dead at the latest, unless it is heard again.',
    }),
  }),
).openapi('Workers') satisfies z.ZodType<Page<WorkerBody>>;

/** Mounts the calls. */
export function addLoadRoutes(router: Router, load: LoadPort): void {
  router.add({
    method: 'get',
    path: '/admin/queues',
    access: 'engine',
    tag: TAG,
    summary: 'Read how much work is ready, and for how long',
    responses: { 200: { description: 'The queues', schema: QueuesShape } },
    errors: ['unavailable'],
    async handle(_, { c, identity }) {
      return c.json(await load.queues(identity));
    },
  });
  router.add({
    method: 'get',
    path: '/admin/workers',
    access: 'engine',
    tag: TAG,
    summary: 'List the engines with their load',
    description: 'An engine that is dead stays on the list for a minute.',
    query: PageQueryShape,
    responses: { 200: { description: 'A page of engines', schema: WorkersShape } },
    errors: ['unavailable'],
    async handle({ query }, { c, identity }) {
      return c.json(await load.workers(identity, query));
    },
  });
}
