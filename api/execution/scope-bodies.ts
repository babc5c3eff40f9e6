/**
 * The request and the answer of the list of a step's scopes.
 */
import { z } from '@hono/zod-openapi';
import { SCOPE_STATUSES } from '../../core/scopes/scope-status.ts';
import type { ScopeBody } from '../../services/execution-answers.ts';
import type { Page } from '../../services/page.ts';
import { CursorShape, LimitShape, pageShape } from '../page.ts';
import { ExecutionErrorShape, IdShape, InstantShape, StepStatusShape, WaitShape } from './bodies.ts';

export const ScopesQueryShape = z.strictObject({
  execution_id: IdShape,
  step: z
    .string()
    .min(1)
    .max(2_000)
    .openapi({ description: 'The step that holds them: `each`, or `each[3]/inner`.', example: 'each' }),
  status: z.enum(SCOPE_STATUSES).optional(),
  limit: LimitShape.optional(),
  cursor: CursorShape.optional(),
});

export const ScopesShape = pageShape(
  z.object({
    scope: z.string(),
    index: z.int(),
    execution_id: z.guid().nullable().optional().openapi({
      description: 'Where the step names a `workflow`: the child execution; null: it has not begun.',
    }),
    status: z.enum(SCOPE_STATUSES),
    waits: z
      .object({
        step: z.string(),
        status: StepStatusShape,
        waiting_for: WaitShape,
        resume_at: InstantShape.nullable(),
      })
      .nullable()
      .optional()
      .openapi({ description: 'The step in it that has been parked longest; null when none is.' }),
    error: ExecutionErrorShape.nullable(),
    started_at: InstantShape,
    completed_at: InstantShape.nullable(),
  }),
).openapi('Scopes') as z.ZodType<Page<ScopeBody>>;
