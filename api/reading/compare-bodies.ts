/**
 * The request and the answer of a comparison, as schemas.
 */
import { z } from '@hono/zod-openapi';
import { type CompareBody, EXECUTION_FIELDS, STEP_FIELDS } from '../../services/reading/compare-answers.ts';
import { ExecutionStatusShape, IdShape, JsonShape, StepStatusShape } from '../execution/bodies.ts';

export const CompareQueryShape = z.strictObject({
  a: IdShape.openapi({ description: 'An execution.' }),
  b: IdShape.openapi({ description: 'The other one.' }),
  scope: z.string().min(1).max(2_000).optional().openapi({
    description: 'A scope that both have, such as `each[3]`; default: the top level.',
    example: 'each[3]',
  }),
});

const SideShape = z
  .object({
    type: z.string(),
    status: StepStatusShape,
    attempt_count: z.int(),
    route: z.array(z.string()).nullable(),
    error: z.object({ code: z.string(), message: z.string() }).nullable(),
    output: JsonShape.optional().openapi({ description: 'Where it differs.' }),
    ran_ms: z.int().nullable(),
  })
  .nullable()
  .openapi('ComparedStep', { description: 'Null: this version has no such step.' });

const ExecutionShape = z.object({
  execution_id: z.guid(),
  version: z.int(),
  status: ExecutionStatusShape,
});

export const CompareShape = z
  .object({
    template: z.string(),
    a: ExecutionShape,
    b: ExecutionShape,
    first_difference: z
      .object({
        step: z.string().nullable().openapi({ description: 'Null: the execution itself.' }),
        field: z.enum([...STEP_FIELDS, ...EXECUTION_FIELDS]),
        a: JsonShape,
        b: JsonShape,
      })
      .nullable(),
    steps: z.array(
      z.object({
        key: z.string(),
        differs: z
          .array(z.enum(STEP_FIELDS))
          .openapi({ description: 'Empty: it is the same in both. `missing`: one version has it.' }),
        a: SideShape,
        b: SideShape,
      }),
    ),
  })
  .openapi('Comparison') as unknown as z.ZodType<CompareBody>;
