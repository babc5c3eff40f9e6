/**
 * The requests and answers of the calls on single steps, as schemas.
 */
import { z } from '@hono/zod-openapi';
import { VOTES } from '../../core/forms/decisions.ts';
import { MAX_CODE_LENGTH, MAX_MESSAGE_LENGTH } from '../../payload/stored-error.ts';
import {
  type AnsweredStepBody,
  ATTEMPT_OUTCOMES,
  type CompleteBody,
  type FailBody,
  type ForceBody,
  type StepBody,
} from '../../services/steps/answers.ts';
import { DryRunAskedShape, DryRunShape } from '../control/bodies.ts';
import {
  IdShape,
  InstantShape,
  JsonShape,
  StepErrorShape,
  StepShape,
  StepStatusShape,
} from '../execution/bodies.ts';

export const StepParamsShape = z.object({ id: IdShape });

const MAX_COMMENT_LENGTH = 2_000;
const UserShape = z.string().min(1).max(200).openapi({ description: 'Of a form: the user who answers.' });

const FORCE = {
  force: z
    .boolean()
    .optional()
    .openapi({ description: 'Ends the step whatever it does, not only while it waits for an answer.' }),
  dry_run: DryRunAskedShape,
};

export const CompleteShape = z
  .strictObject({
    ...FORCE,
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

export const SkipShape = z.strictObject(FORCE).openapi('SkipStep') satisfies z.ZodType<ForceBody>;

export const FailShape = z
  .strictObject({
    ...FORCE,
    error: ErrorShape.optional().openapi({ description: 'May be left out for a form, which is rejected.' }),
    user_id: UserShape.optional(),
    retryable: z
      .boolean()
      .optional()
      .openapi({ description: 'Whether the step may be retried; default false.' }),
  })
  .openapi('FailStep') satisfies z.ZodType<FailBody>;

const AnsweredStepShape = z
  .object({ id: z.guid(), execution_id: z.guid(), key: z.string(), status: StepStatusShape })
  .openapi('AnsweredStep') satisfies z.ZodType<AnsweredStepBody>;

export const AnsweredShape = z.union([AnsweredStepShape, DryRunShape]);

const TokensShape = z.number().min(0);

const AttemptShape = z
  .object({
    attempt: z.int(),
    outcome: z.enum(ATTEMPT_OUTCOMES).nullable().openapi({
      description:
        'lost: its process has died or was ended. given_back: by an engine that was stopping; the next one has its number. late: its step had lost a race before. Null: it goes on.',
    }),
    started_at: InstantShape.nullable(),
    ended_at: InstantShape.nullable(),
    engine: z.guid().nullable(),
    error: StepErrorShape.nullable(),
    outputs: JsonShape.optional().openapi({
      description: 'Of a late result, and of a completed attempt before a reset.',
    }),
    usage: z
      .object({ prompt_tokens: TokensShape, completion_tokens: TokensShape, total_tokens: TokensShape })
      .nullable()
      .openapi({ description: 'Tokens of all turns of an agent.' }),
    turns: z
      .array(z.record(z.string(), JsonShape))
      .openapi({ description: 'Each answer of the language model of an agent.' }),
    logs: z
      .array(
        z.object({
          at: InstantShape,
          level: z.enum(['info', 'warn', 'error']),
          message: z.string(),
          fields: z.record(z.string(), JsonShape),
        }),
      )
      .openapi({
        description:
          'What its handler has logged, as far as it is kept; there when it has ended or was parked.',
      }),
  })
  .openapi('Attempt');

export const OneStepShape = StepShape.extend({
  execution_id: z.guid(),
  template: z.string(),
  version: z.int(),
  params: JsonShape.openapi({
    description:
      'As its attempts get them, evaluated again for this answer, without secrets. Null: the step has not begun or has no parameters, or they cannot be shown: they have the URL of a webhook step, which viewers do not see, or are larger than an output may be.',
  }),
  outputs: JsonShape,
  attempts: z.array(AttemptShape).openapi({
    description: 'All attempts, by their number.',
  }),
}).openapi('OneStep') as unknown as z.ZodType<StepBody>;
