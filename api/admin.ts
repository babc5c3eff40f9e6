/**
 * The list of executions, and the cancel of one.
 */
import { z } from '@hono/zod-openapi';
import type { DryRunPort } from '../services/control/pause-answers.ts';
import type { ExecutionListItem, ExecutionServicePort } from '../services/execution-answers.ts';
import { requireWorkspace } from './auth.ts';
import { type BodyLimits, few } from './body.ts';
import { DryRunAskedShape, DryRunShape } from './control/bodies.ts';
import {
  AskedInstantShape,
  ExecutionErrorShape,
  ExecutionStatusShape,
  ForkedFromShape,
  IdShape,
  InstantShape,
  ParentShape,
  ReasonShape,
  RootIdShape,
  StoppedShape,
  TemplateNameShape,
} from './execution/bodies.ts';
import { CursorShape, LimitShape, pageShape } from './page.ts';
import type { Router } from './route.ts';

const TAG = 'Administration';

export const FilterShape = z.strictObject({
  status: ExecutionStatusShape.optional(),
  template: TemplateNameShape.optional(),
  workspace_id: IdShape.optional(),
  tag: z.string().min(1).max(128).optional(),
  since: AskedInstantShape.optional().openapi({ description: 'Created at this instant or later.' }),
  until: AskedInstantShape.optional().openapi({ description: 'Created before this instant.' }),
  q: z.string().min(1).max(200).optional().openapi({
    description:
      'An id, idempotency key, tag, template or error code; executions that have it as a part of one come after those.',
  }),
  sort: z.enum(['created_at', 'duration']).optional().openapi({
    description:
      'Default `created_at`, the newest first. `duration`: those that have ended, the one that ran longest first.',
  }),
  parent: IdShape.optional().openapi({ description: 'Children of this execution.' }),
  root: IdShape.optional().openapi({
    description: 'This execution and all below it. Without `parent` and `root` the list has no children.',
  }),
  limit: LimitShape.optional(),
  cursor: CursorShape.optional(),
});

const ItemShape = z
  .object({
    execution_id: z.guid(),
    status: ExecutionStatusShape,
    template: z.string(),
    version: z.int(),
    workspace_id: z.guid().nullable(),
    user_id: z.guid().nullable(),
    tags: z.array(z.string()),
    error: ExecutionErrorShape.nullable(),
    created_at: InstantShape,
    started_at: InstantShape.nullable(),
    completed_at: InstantShape.nullable(),
    parent: ParentShape,
    root_execution_id: RootIdShape,
    forked_from: ForkedFromShape,
  })
  .openapi('ExecutionSummary') satisfies z.ZodType<ExecutionListItem>;

const CancelShape = z
  .strictObject({ reason: ReasonShape.optional(), dry_run: DryRunAskedShape })
  .openapi('CancelExecution');

export interface AdminRoutes {
  executions: ExecutionServicePort;
  dryRuns: DryRunPort;
  limits: BodyLimits;
}

/** Mounts the administration calls. */
export function addAdminRoutes(router: Router, { executions, dryRuns, limits }: AdminRoutes): void {
  router.add({
    method: 'get',
    path: '/admin/executions',
    access: 'viewer',
    tag: TAG,
    summary: 'List executions, newest first',
    description:
      'Of the workspace of the key; an engine key lists those of all workspaces, or of the one that it names. A page may have fewer executions than asked for, and even none, with a `next_cursor`: it has looked at so many that the next one goes on.',
    query: FilterShape,
    responses: { 200: { description: 'A page', schema: pageShape(ItemShape) } },
    errors: ['unavailable'],
    async handle({ query }, { c, identity }) {
      requireWorkspace(identity, query.workspace_id);
      return c.json(await executions.list(identity, query));
    },
  });
  router.add({
    method: 'post',
    path: '/admin/executions/{id}/cancel',
    access: 'engine',
    tag: TAG,
    summary: 'Cancel an execution at once',
    description: 'Final in the same transaction, whatever the handlers do. A final execution stays as it is.',
    params: z.object({ id: IdShape }),
    body: { kind: 'json', schema: CancelShape, optional: true, limits: few(limits) },
    responses: {
      200: {
        description: 'Cancelled, or already final, or what would be done',
        schema: z.union([StoppedShape, DryRunShape]),
      },
    },
    errors: ['execution_not_found', 'unavailable'],
    async handle({ params, body }, { c, identity }) {
      if (body.dry_run) return c.json(await dryRuns.dryRun(identity, params.id, 'cancel'));
      return c.json(await executions.cancel(identity, params.id, body.reason ?? null));
    },
  });
}
