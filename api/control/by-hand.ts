/**
 * The caller who ended a step by hand, as it is shown with the step.
 */
import { z } from '@hono/zod-openapi';
import type { ByHandBody } from '../../services/execution-answers.ts';

export const ByHandShape = z
  .object({
    act: z.enum(['complete', 'fail', 'skip', 'retry']),
    by: z.string().nullable().openapi({ description: 'The caller; null: its key has no name.' }),
    at: z.string().openapi({ format: 'date-time' }),
  })
  .nullable()
  .openapi({
    description: 'Who ended the step by hand; null: nobody did.',
  }) satisfies z.ZodType<ByHandBody | null>;
