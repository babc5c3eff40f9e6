/**
 * The calls on single steps: read one, and end one that waits for an answer.
 */
import type { StepServicePort } from '../../services/steps/answers.ts';
import { type BodyLimits, few } from '../body.ts';
import { answerPieces } from '../json-answer.ts';
import type { Router } from '../route.ts';
import {
  AnsweredShape,
  CompleteShape,
  FailShape,
  OneStepShape,
  SkipShape,
  StepParamsShape,
} from './bodies.ts';

const TAG = 'Steps';

export interface StepRoutes {
  steps: StepServicePort;
  limits: BodyLimits;
}

/** Mounts the calls on steps. */
export function addStepRoutes(router: Router, { steps, limits }: StepRoutes): void {
  router.add({
    method: 'get',
    path: '/api/v1/steps/{id}',
    access: 'viewer',
    tag: TAG,
    summary: 'Read a step',
    params: StepParamsShape,
    responses: { 200: { description: 'The step', schema: OneStepShape } },
    errors: ['step_not_found', 'unavailable'],
    async handle({ params }, { c, identity }) {
      return answerPieces(c, await steps.get(identity, params.id));
    },
  });
  router.add({
    method: 'post',
    path: '/api/v1/steps/{id}/complete',
    access: 'operator',
    tag: TAG,
    summary: 'Complete a step that waits for an answer',
    description:
      'For steps of the types form, webhook and task while they wait; with force: true for any step that is not over.',
    params: StepParamsShape,
    body: { kind: 'json', schema: CompleteShape, limits, example: { output: { approved: true } } },
    responses: { 200: { description: 'Completed', schema: AnsweredShape } },
    errors: ['step_not_found', 'wrong_state', 'force_required', 'already_decided', 'unavailable'],
    async handle({ params, body }, { c, identity }) {
      return c.json(await steps.complete(identity, params.id, body));
    },
  });
  router.add({
    method: 'post',
    path: '/api/v1/steps/{id}/fail',
    access: 'operator',
    tag: TAG,
    summary: 'Fail a step that waits for an answer',
    description:
      'As `complete`. The step is tried again when the failure is retryable and it has retries left.',
    params: StepParamsShape,
    body: {
      kind: 'json',
      schema: FailShape,
      limits: few(limits),
      example: { error: { code: 'rejected', message: 'The amount is too high.' }, retryable: false },
    },
    responses: { 200: { description: 'Failed, or waiting for its retry', schema: AnsweredShape } },
    errors: ['step_not_found', 'wrong_state', 'force_required', 'already_decided', 'unavailable'],
    async handle({ params, body }, { c, identity }) {
      return c.json(await steps.fail(identity, params.id, body));
    },
  });
  router.add({
    method: 'post',
    path: '/api/v1/steps/{id}/skip',
    access: 'operator',
    tag: TAG,
    summary: 'Skip a step by hand',
    description: 'With force: true, whatever the step does, unless it is over.',
    params: StepParamsShape,
    body: { kind: 'json', schema: SkipShape, limits: few(limits), example: { force: true } },
    responses: { 200: { description: 'Skipped', schema: AnsweredShape } },
    errors: ['step_not_found', 'wrong_state', 'force_required', 'unavailable'],
    async handle({ params, body }, { c, identity }) {
      return c.json(await steps.skip(identity, params.id, body));
    },
  });
}
