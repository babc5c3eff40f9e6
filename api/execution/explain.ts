/**
 * The call that explains why an execution is not final.
 */
import { z } from '@hono/zod-openapi';
import type { ExplainBody, ExplainPort } from '../../services/explain/answers.ts';
import { CursorShape } from '../page.ts';
import type { Router } from '../route.ts';
import { ExecutionStatusShape, IdShape, InstantShape, StepStatusShape, WaitShape } from './bodies.ts';

const MsShape = z.number().nullable().openapi({ description: 'Milliseconds; null: not known.' });

const QueryShape = z.strictObject({
  execution_id: IdShape,
  scope: z
    .string()
    .max(2_000)
    .optional()
    .openapi({ description: 'Steps of this scope; default the top level.', example: 'each[3]' }),
  history: z
    .enum(['true', 'false'])
    .transform((value) => value === 'true')
    .optional()
    .openapi({ type: 'boolean', description: 'Also where the time of finished steps went.' }),
  cursor: CursorShape.optional(),
});

const ExplainedStepShape = z
  .object({
    id: z.guid().nullable().openapi({ description: 'Null: the step has no row yet.' }),
    key: z.string(),
    scope: z.string(),
    status: StepStatusShape,
    reason: z.string().openapi({ description: 'What must happen next, and who can do it.' }),
    since: InstantShape.nullable().openapi({ description: 'When it came into its status.' }),
    waiting_for: WaitShape,
    missing: z
      .array(z.object({ step: z.string(), status: StepStatusShape, why: z.string() }))
      .openapi({ description: 'Inputs that it lacks, at most 20.' }),
    missing_count: z.int().openapi({ description: 'Of all inputs that it lacks.' }),
  })
  .openapi('ExplainedStep');

const SpentShape = z
  .object({
    id: z.guid(),
    key: z.string(),
    scope: z.string(),
    status: StepStatusShape,
    waited: z.object({
      inputs_ms: MsShape,
      limit_ms: MsShape,
      worker_ms: MsShape,
      backoff_ms: MsShape,
      parked_ms: MsShape,
    }),
    ran_ms: MsShape,
  })
  .openapi('FinishedStep', { description: 'Where the time of a finished step went.' });

const ExplanationShape = z
  .object({
    execution_id: z.guid(),
    status: ExecutionStatusShape,
    summary: z.string(),
    steps: z.array(ExplainedStepShape),
    history: z.array(SpentShape).nullable(),
    next_cursor: z.string().nullable(),
  })
  .openapi('Explanation') as z.ZodType<ExplainBody>;

/** Mounts the call. */
export function addExplainRoute(router: Router, explainer: ExplainPort): void {
  router.add({
    method: 'get',
    path: '/api/v1/execution/explain',
    access: 'viewer',
    tag: 'Executions',
    summary: 'Explain why an execution is not final',
    description:
      'For each step that is not final, up to 100 a page and breadth first: the reason in a sentence and as data.',
    query: QueryShape,
    responses: { 200: { description: 'The explanation', schema: ExplanationShape } },
    errors: ['execution_not_found', 'scope_not_found', 'unavailable'],
    async handle({ query }, { c, identity }) {
      return c.json(await explainer.explain(identity, query));
    },
  });
}
