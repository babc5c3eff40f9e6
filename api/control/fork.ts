/**
 * The call that forks an execution.
 */
import { z } from '@hono/zod-openapi';
import type { ForkBody, ForkPort } from '../../services/control/fork-answers.ts';
import type { BodyLimits } from '../body.ts';
import {
  IdempotencyHeaderShape,
  IdShape,
  JsonShape,
  StartedShape,
  VersionShape,
} from '../execution/bodies.ts';
import { check } from '../request-check.ts';
import type { Router } from '../route.ts';
import { DryRunAskedShape, DryRunShape } from './bodies.ts';

const HeadersShape = z.object({ 'Idempotency-Key': IdempotencyHeaderShape.optional() });

const ForkShape = z
  .strictObject({
    execution_id: IdShape,
    from: z.string().openapi({
      description: 'The key of a step of the top level. It and all after it start anew.',
      example: 'charge',
    }),
    inputs: JsonShape.optional().openapi({ description: 'Default: those of the source.' }),
    outputs: z.record(z.string(), JsonShape).optional().openapi({
      description: 'Values by key of a step, which is completed with its value and does not run.',
    }),
    version: VersionShape.optional().openapi({ description: 'Default: that of the source.' }),
    dry_run: DryRunAskedShape,
  })
  .openapi('ForkExecution') satisfies z.ZodType<ForkBody>;

/** Mounts the call. */
export function addForkRoute(router: Router, forks: ForkPort, limits: BodyLimits): void {
  router.add({
    method: 'post',
    path: '/api/v1/execution/fork',
    access: 'operator',
    tag: 'Control',
    summary: 'Start an execution that reuses what another one has finished',
    description:
      'A step is reused when it is completed, skipped, or failed and handled, is not `from` or after it, and all steps before it are reused. The source stays as it is.',
    headers: HeadersShape,
    body: {
      kind: 'json',
      schema: ForkShape,
      limits,
      example: { execution_id: '0197a3c4-5b6d-7e8f-9012-3456789abcde', from: 'charge' },
    },
    responses: {
      202: { description: 'Started', schema: StartedShape },
      200: {
        description: 'Already existed, or the answer of a dry run',
        schema: z.union([StartedShape, DryRunShape]),
      },
    },
    errors: [
      'execution_not_found',
      'template_not_found',
      'wrong_state',
      'not_compensated',
      'idempotency_conflict',
      'invalid_inputs',
      'invalid_definition',
      'not_storable',
      'unavailable',
    ],
    async handle({ body }, { c, identity }) {
      const key = c.req.header('Idempotency-Key');
      check(HeadersShape, { 'Idempotency-Key': key }, 'header');
      const answer = await forks.fork(identity, body, key ?? null);
      return c.json(answer, 'created' in answer && answer.created ? 202 : 200);
    },
  });
}
