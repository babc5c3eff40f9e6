/**
 * The call that sends a signal to an execution.
 */
import { z } from '@hono/zod-openapi';
import { SIGNAL_BOUNDS } from '../../core/waits/signal-bounds.ts';
import type { SignalBody, SignalledBody, SignalServicePort } from '../../services/signal-answers.ts';
import type { BodyLimits } from '../body.ts';
import type { Router } from '../route.ts';
import { ExecutionStatusShape, IdShape, JsonShape } from './bodies.ts';

const nameShape = (most: number) =>
  z.string().regex(new RegExp(`^[^\\u0000-\\u001f\\u007f]{1,${most}}$`, 'u'), {
    error: `expected 1 to ${most} characters, none of them a control character`,
  });

const SignalShape = z
  .strictObject({
    execution_id: IdShape,
    signal: nameShape(SIGNAL_BOUNDS.maxNameLength),
    payload: JsonShape.optional().openapi({ description: 'Any JSON value; default null.' }),
    signal_id: nameShape(SIGNAL_BOUNDS.maxIdLength)
      .optional()
      .openapi({ description: 'Counts once per execution: a repeated call sends nothing.' }),
    scope: z
      .string()
      .max(2_000)
      .optional()
      .openapi({ description: 'Only waits of this scope may use the signal; default: of any.' }),
  })
  .openapi('SendSignal') satisfies z.ZodType<SignalBody>;

const SignalledShape = z
  .object({
    execution_id: z.guid(),
    status: ExecutionStatusShape,
    duplicate: z.boolean().openapi({ description: 'Whether the execution had the signal_id already.' }),
    kept: z.boolean().openapi({
      description: 'Whether no step waited for the signal when it was sent: it is kept for one that will.',
    }),
  })
  .openapi('SentSignal') satisfies z.ZodType<SignalledBody>;

/** Mounts the call. */
export function addSignalRoute(router: Router, signals: SignalServicePort, limits: BodyLimits): void {
  router.add({
    method: 'post',
    path: '/api/v1/execution/signal',
    access: 'operator',
    tag: 'Executions',
    summary: 'Send a signal to an execution',
    description:
      'Ends the oldest wait for it, at any depth of scopes. A signal for which no step waits is kept, first in, first out per name.',
    body: {
      kind: 'json',
      schema: SignalShape,
      limits,
      example: {
        execution_id: '0197a3c4-5b6d-7e8f-9012-3456789abcde',
        signal: 'paid',
        payload: { amount: 20 },
        signal_id: 'payment-17',
      },
    },
    responses: { 200: { description: 'Sent, or sent before', schema: SignalledShape } },
    errors: ['execution_not_found', 'wrong_state', 'idempotency_conflict', 'too_many_signals', 'unavailable'],
    async handle({ body }, { c, identity }) {
      return c.json(await signals.send(identity, body));
    },
  });
}
