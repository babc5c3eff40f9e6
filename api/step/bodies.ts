/**
 * The requests and answers of the calls on single steps, as schemas.
 */
import { z } from '@hono/zod-openapi';
import { MAX_CODE_LENGTH, MAX_MESSAGE_LENGTH } from '../../payload/stored-error.ts';
import type { AnsweredStepBody, CompleteBody, FailBody, StepBody } from '../../services/steps/answers.ts';
import { IdShape, JsonShape, StepShape, StepStatusShape } from '../execution/bodies.ts';

export const StepParamsShape = z.object({ id: IdShape });

export const CompleteShape = z
  .strictObject({ output: JsonShape.optional() })
  .openapi('CompleteStep') satisfies z.ZodType<CompleteBody>;

export const FailShape = z
  .strictObject({
    error: z.strictObject({
      code: z.string().min(1).max(MAX_CODE_LENGTH),
      message: z.string().max(MAX_MESSAGE_LENGTH),
      details: JsonShape.optional(),
    }),
    retryable: z
      .boolean()
      .optional()
      .openapi({ description: 'Whether the step may be retried; default false.' }),
  })
  .openapi('FailStep') satisfies z.ZodType<FailBody>;

export const AnsweredShape = z
  .object({ id: z.guid(), execution_id: z.guid(), key: z.string(), status: StepStatusShape })
  .openapi('AnsweredStep') satisfies z.ZodType<AnsweredStepBody>;

export const OneStepShape = StepShape.extend({
  execution_id: z.guid(),
  template: z.string(),
  version: z.int(),
  outputs: JsonShape,
}).openapi('OneStep') as unknown as z.ZodType<StepBody>;
