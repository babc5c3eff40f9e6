/**
 * The requests and answers of the calls on single steps, as schemas.
 */
import { z } from '@hono/zod-openapi';
import { VOTES } from '../../core/forms/decisions.ts';
import { MAX_CODE_LENGTH, MAX_MESSAGE_LENGTH } from '../../payload/stored-error.ts';
import type { AnsweredStepBody, CompleteBody, FailBody, StepBody } from '../../services/steps/answers.ts';
import { IdShape, JsonShape, StepShape, StepStatusShape } from '../execution/bodies.ts';

export const StepParamsShape = z.object({ id: IdShape });

const MAX_COMMENT_LENGTH = 2_000;
const UserShape = z.string().min(1).max(200).openapi({ description: 'Of a form: the user who answers.' });

export const CompleteShape = z
  .strictObject({
    output: JsonShape.optional(),
    user_id: UserShape.optional(),
    decision: z.enum(VOTES).optional().openapi({ description: 'Of a form with a quorum.' }),
    comment: z
      .string()
      .max(MAX_COMMENT_LENGTH)
      .optional()
      .openapi({ description: 'Of a form with a quorum.' }),
  })
  .openapi('CompleteStep') satisfies z.ZodType<CompleteBody>;

export const ErrorShape = z.strictObject({
  code: z.string().min(1).max(MAX_CODE_LENGTH),
  message: z.string().max(MAX_MESSAGE_LENGTH),
  details: JsonShape.optional(),
});

export const FailShape = z
  .strictObject({
    error: ErrorShape.optional().openapi({ description: 'May be left out for a form, which is rejected.' }),
    user_id: UserShape.optional(),
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
