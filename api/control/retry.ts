/**
 * The call that retries an execution.
 */
import { z } from '@hono/zod-openapi';
import { MAX_ADDRESS_LENGTH } from '../../core/control/step-address.ts';
import type {
  ControlledExecution,
  RetryBody,
  RetryServicePort,
} from '../../services/control/retry-answers.ts';
import type { BodyLimits } from '../body.ts';
import { ExecutionStatusShape, IdShape, JsonShape } from '../execution/bodies.ts';
import type { Router } from '../route.ts';
import { DryRunAskedShape, DryRunShape } from './bodies.ts';

/** Steps that one call may name. */
const MAX_NAMED = 1_000;

/** The path of a step: `key` or `each[3]/key`. */
export const StepPathShape = z.string().min(1).max(MAX_ADDRESS_LENGTH).openapi({ example: 'each[3]/charge' });

const RetryShape = z
  .strictObject({
    execution_id: IdShape,
    from: StepPathShape.optional().openapi({
      description: 'This step and all downstream of it run again.',
    }),
    only: StepPathShape.optional().openapi({
      description: 'This step runs again, and what is downstream of it and has not completed.',
    }),
    outputs: z
      .record(z.string().max(MAX_ADDRESS_LENGTH), JsonShape)
      .refine((outputs) => Object.keys(outputs).length <= MAX_NAMED, {
        error: `names at most ${MAX_NAMED} steps`,
        params: { code: 'too_big' },
      })
      .optional()
      .openapi({ description: 'Completes failed and cancelled steps with these outputs.' }),
    skip: z
      .array(StepPathShape)
      .max(MAX_NAMED)
      .optional()
      .openapi({ description: 'Skips failed and cancelled steps.' }),
    dry_run: DryRunAskedShape,
  })
  .refine(({ from, only }) => from === undefined || only === undefined, {
    error: 'from and only exclude each other',
    path: ['only'],
    params: { code: 'exactly_one' },
  })
  .openapi('RetryExecution') satisfies z.ZodType<RetryBody>;

export const ControlledShape = z
  .object({ execution_id: z.guid(), status: ExecutionStatusShape })
  .openapi('ControlledExecution') satisfies z.ZodType<ControlledExecution>;

/** Mounts the call. */
export function addRetryRoute(router: Router, retries: RetryServicePort, limits: BodyLimits): void {
  router.add({
    method: 'post',
    path: '/api/v1/execution/retry',
    access: 'operator',
    tag: 'Control',
    summary: 'Retry an execution that is over',
    description:
      'Without from and only: failures that nothing handles, and what was cancelled, run again. What completed is kept. Rows and ids stay.',
    body: {
      kind: 'json',
      schema: RetryShape,
      limits,
      example: { execution_id: '0197a3c4-5b6d-7e8f-9012-3456789abcde', from: 'charge' },
    },
    responses: {
      200: {
        description: 'It goes on, or what would be done',
        schema: z.union([ControlledShape, DryRunShape]),
      },
    },
    errors: [
      'execution_not_found',
      'scope_not_found',
      'wrong_state',
      'join_would_starve',
      'not_compensated',
      'parent_step_final',
      'not_storable',
      'unavailable',
    ],
    async handle({ body }, { c, identity }) {
      return c.json(await retries.retry(identity, body));
    },
  });
}
