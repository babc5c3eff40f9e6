/**
 * The calls on incidents: steps that wait for somebody to decide what becomes of them.
 */
import { z } from '@hono/zod-openapi';
import { BULK_LIMIT } from '../../services/control/bulk-answers.ts';
import type { IncidentBody, IncidentCall, IncidentPort } from '../../services/control/incident-answers.ts';
import { requireWorkspace } from '../auth.ts';
import { type BodyLimits, few } from '../body.ts';
import { IdShape, InstantShape } from '../execution/bodies.ts';
import { CursorShape, LimitShape, pageShape } from '../page.ts';
import type { Router } from '../route.ts';
import { DryRunAskedShape } from './bodies.ts';
import { BulkResultShape } from './bulk.ts';

const QueryShape = z.strictObject({
  workspace_id: IdShape.optional(),
  limit: LimitShape.optional(),
  cursor: CursorShape.optional(),
});

const IncidentShape = z
  .object({
    id: z.string().openapi({ description: 'Of the group: workspace, template, step and code.' }),
    template: z.string(),
    step: z.string(),
    code: z.string(),
    message: z.string().openapi({ description: 'The latest.' }),
    count: z.int(),
    first_at: InstantShape,
    last_at: InstantShape,
    examples: z.array(
      z.object({ execution_id: z.guid(), step_id: z.guid(), message: z.string(), at: InstantShape }),
    ),
  })
  .openapi('Incident') satisfies z.ZodType<IncidentBody>;

const CallShape = z
  .strictObject({ limit: z.int().min(1).max(BULK_LIMIT.most).optional(), dry_run: DryRunAskedShape })
  .openapi('CloseIncidents') satisfies z.ZodType<IncidentCall>;

const SUMMARIES = {
  resume: 'Try the steps of a group of incidents again',
  fail: 'Make the failures of a group of incidents final',
} as const;

/** Mounts the calls. */
export function addIncidentRoutes(router: Router, incidents: IncidentPort, limits: BodyLimits): void {
  router.add({
    method: 'get',
    path: '/admin/incidents',
    access: 'viewer',
    tag: 'Control',
    summary: 'List open incidents by template, step and error code',
    query: QueryShape,
    responses: { 200: { description: 'A page of groups', schema: pageShape(IncidentShape) } },
    errors: ['unavailable'],
    async handle({ query }, { c, identity }) {
      requireWorkspace(identity, query.workspace_id);
      return c.json(await incidents.list(identity, query));
    },
  });
  for (const act of ['resume', 'fail'] as const)
    router.add({
      method: 'post',
      path: `/admin/incidents/{id}/${act}`,
      access: 'operator',
      tag: 'Control',
      summary: SUMMARIES[act],
      description:
        'Each execution is changed in a commit of its own, and goes on when nothing else holds it. With `more` call again.',
      params: z.object({ id: z.string().max(64) }),
      body: { kind: 'json', schema: CallShape, optional: true, limits: few(limits) },
      responses: { 200: { description: 'How many were closed', schema: BulkResultShape } },
      errors: ['incident_not_found', 'unavailable'],
      async handle({ params, body }, { c, identity }) {
        return c.json(await incidents.close(identity, params.id, act, body));
      },
    });
}
