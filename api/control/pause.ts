/**
 * The calls that pause an execution, and let it go on.
 */
import { z } from '@hono/zod-openapi';
import type { ControlledBody, PausePort } from '../../services/control/pause-answers.ts';
import type { BodyLimits } from '../body.ts';
import { ExecutionStatusShape, IdShape } from '../execution/bodies.ts';
import type { Router } from '../route.ts';

const PauseShape = z.strictObject({ execution_id: IdShape }).openapi('PauseExecution');
const ResumeShape = z.strictObject({ execution_id: IdShape }).openapi('ResumeExecution');

const ControlledShape = z
  .object({ execution_id: z.guid(), status: ExecutionStatusShape })
  .openapi('ControlledExecution') satisfies z.ZodType<ControlledBody>;

/** Mounts the calls. */
export function addPauseRoutes(router: Router, pauses: PausePort, limits: BodyLimits): void {
  router.add({
    method: 'post',
    path: '/api/v1/execution/pause',
    access: 'operator',
    tag: 'Executions',
    summary: 'Pause an execution',
    description:
      'Nothing more begins in it, nor in its children. Running steps finish, timers and timeouts take effect, answers are taken. A paused execution stays as it is.',
    body: { kind: 'json', schema: PauseShape, limits },
    responses: { 200: { description: 'Paused', schema: ControlledShape } },
    errors: ['execution_not_found', 'wrong_state', 'unavailable'],
    async handle({ body }, { c, identity }) {
      return c.json(await pauses.pause(identity, body.execution_id));
    },
  });
  router.add({
    method: 'post',
    path: '/api/v1/execution/resume',
    access: 'operator',
    tag: 'Executions',
    summary: 'Let a paused execution go on',
    description:
      'Children that were paused with it go on too. One that was paused with its parent goes on with that. An execution that is not paused stays as it is.',
    body: { kind: 'json', schema: ResumeShape, limits },
    responses: { 200: { description: 'Going on', schema: ControlledShape } },
    errors: ['execution_not_found', 'wrong_state', 'paused_by_parent', 'unavailable'],
    async handle({ body }, { c, identity }) {
      return c.json(await pauses.resume(identity, body.execution_id));
    },
  });
}
