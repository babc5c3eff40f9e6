/**
 * The calls on all executions that fit a filter.
 */
import { z } from '@hono/zod-openapi';
import { ERROR_STATUS, type ErrorCode } from '../../core/problem.ts';
import {
  BULK_ACTS,
  BULK_LIMIT,
  type BulkAct,
  type BulkBody,
  type BulkPort,
  type BulkResult,
} from '../../services/control/bulk-answers.ts';
import { FilterShape } from '../admin.ts';
import { requireWorkspace } from '../auth.ts';
import type { BodyLimits } from '../body.ts';
import { CursorShape } from '../page.ts';
import type { Router } from '../route.ts';
import { DryRunAskedShape } from './bodies.ts';

export const BULK_FIELDS = {
  filter: FilterShape.omit({ limit: true, cursor: true, sort: true })
    .optional()
    .openapi({ description: 'Conditions of the list; at least one.' }),
  limit: z
    .int()
    .min(1)
    .max(BULK_LIMIT.most)
    .optional()
    .openapi({ description: `Executions to look at; default ${BULK_LIMIT.default}.` }),
  cursor: CursorShape.optional().openapi({ description: '`next_cursor` of the call before.' }),
  dry_run: DryRunAskedShape,
};

const BulkShape = z.strictObject(BULK_FIELDS).openapi('BulkCall') satisfies z.ZodType<BulkBody>;

const RESULT = {
  matched: z.int().openapi({ description: 'Executions that were looked at.' }),
  changed: z.int(),
  refused: z.array(
    z.object({
      execution_id: z.guid(),
      code: z.enum(Object.keys(ERROR_STATUS) as [ErrorCode, ...ErrorCode[]]),
    }),
  ),
  more: z.boolean().openapi({ description: 'Whether others may fit: go on with `next_cursor`.' }),
  next_cursor: z.string().nullable(),
};

export const BulkResultShape = z
  .object({ dry_run: z.literal(true).optional(), ...RESULT })
  .openapi('BulkResult') satisfies z.ZodType<BulkResult>;

const SUMMARIES: Record<BulkAct, string> = {
  cancel: 'Cancel all executions that fit a filter',
  retry: 'Retry all executions that fit a filter',
  pause: 'Pause all executions that fit a filter',
  resume: 'Let all executions that fit a filter go on',
};

/** Mounts the calls. */
export function addBulkRoutes(router: Router, bulk: BulkPort, limits: BodyLimits): void {
  for (const act of BULK_ACTS)
    router.add({
      method: 'post',
      path: `/admin/executions/${act}`,
      access: 'operator',
      tag: 'Control',
      summary: SUMMARIES[act],
      description:
        'The filter is that of the list. Each execution is changed in a commit of its own; one that cannot be is named in `refused`, with the code of the call on it alone. With `more` go on with `cursor: next_cursor`.',
      body: {
        kind: 'json',
        schema: BulkShape,
        limits,
        example: { filter: { template: 'order-fulfilment', status: 'failed' }, dry_run: true },
      },
      responses: { 200: { description: 'How many were looked at and changed', schema: BulkResultShape } },
      errors: ['filter_required', 'unavailable'],
      async handle({ body }, { c, identity }) {
        requireWorkspace(identity, body.filter?.workspace_id);
        return c.json(await bulk.run(identity, act, body));
      },
    });
}
