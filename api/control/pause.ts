/**
 * The calls that pause an execution, and let it go on.
 */
import { z } from '@hono/zod-openapi';
import type { DryRunPort, PausePort } from '../../services/control/pause-answers.ts';
import type { BodyLimits } from '../body.ts';
import { IdShape } from '../execution/bodies.ts';
import type { Router } from '../route.ts';
import { DryRunAskedShape, DryRunShape } from './bodies.ts';
import { ControlledShape } from './retry.ts';

const PauseShape = z
  .strictObject({ execution_id: IdShape, dry_run: DryRunAskedShape })
  .openapi('PauseExecution');
const ResumeShape = z
  .strictObject({ execution_id: IdShape, dry_run: DryRunAskedShape })
  .openapi('ResumeExecution');

const AnswerShape = z.union([ControlledShape, DryRunShape]);

/** Mounts the calls. */
export function addPauseRoutes(router: Router, pauses: PausePort & DryRunPort, limits: BodyLimits): void {
  router.add({
    method: 'post',
    path: '/api/v1/execution/pause',
    access: 'operator',
    tag: 'Control',
    summary: 'Pause an execution',
    description:
      'Nothing more begins in it, nor in its children. Running steps finish, timers and timeouts take effect, answers are taken. A paused execution stays as it is.',
    body: { kind: 'json', schema: PauseShape, limits },
    responses: { 200: { description: 'Paused, or what would be done', schema: AnswerShape } },
    errors: ['execution_not_found', 'wrong_state', 'unavailable'],
    async handle({ body }, { c, identity }) {
      const { execution_id: id, dry_run: isDry } = body;
      return c.json(await (isDry ? pauses.dryRun(identity, id, 'pause') : pauses.pause(identity, id)));
    },
  });
  router.add({
    method: 'post',
    path: '/api/v1/execution/resume',
    access: 'operator',
    tag: 'Control',
    summary: 'Let a paused execution go on',
    description:
      'Children that were paused with it go on too. One that was paused with its parent goes on with that. An execution that is not paused stays as it is.',
    body: { kind: 'json', schema: ResumeShape, limits },
    responses: { 200: { description: 'Going on, or what would be done', schema: AnswerShape } },
    errors: ['execution_not_found', 'wrong_state', 'paused_by_parent', 'unavailable'],
    async handle({ body }, { c, identity }) {
      const { execution_id: id, dry_run: isDry } = body;
      return c.json(await (isDry ? pauses.dryRun(identity, id, 'resume') : pauses.resume(identity, id)));
    },
  });
}
