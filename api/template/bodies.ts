/**
 * The requests and answers of the template calls, as schemas.
 *
 * Not here: the definition itself; its schema comes from the core and its check from the service.
 */
import { z } from '@hono/zod-openapi';
import type {
  PublishResult,
  TemplateBody,
  TemplateSummary,
  ValidateResult,
} from '../../services/template-answers.ts';
import { InstantShape, JsonShape, TemplateNameShape } from '../execution/bodies.ts';

const FindingShape = z
  .object({ pointer: z.string(), code: z.string(), message: z.string() })
  .openapi('Finding');

const StepKeyShape = z
  .string()
  .openapi({ description: 'The path of a step inside another, such as `each/charge`.' });

export const PublishedShape = z
  .object({
    workflow_template_id: z.guid(),
    name: z.string(),
    version: z.int(),
    steps: z.array(z.object({ id: z.guid(), key: StepKeyShape })),
    warnings: z.array(FindingShape),
  })
  .openapi('PublishedTemplate') satisfies z.ZodType<PublishResult>;

export const ValidatedShape = z
  .object({ valid: z.boolean(), errors: z.array(FindingShape), warnings: z.array(FindingShape) })
  .openapi('ValidatedDefinition') satisfies z.ZodType<ValidateResult>;

export const SummaryShape = z
  .object({
    workflow_template_id: z.guid(),
    name: z.string(),
    version: z.int(),
    description: z.string().nullable(),
    created_at: InstantShape,
  })
  .openapi('TemplateSummary') satisfies z.ZodType<TemplateSummary>;

export const TemplateShape = SummaryShape.extend({
  definition: z.record(z.string(), JsonShape),
  steps: z.array(z.object({ id: z.guid(), key: StepKeyShape, type: z.string() })),
  archived_at: InstantShape.nullable(),
}).openapi('Template') satisfies z.ZodType<TemplateBody>;

export const NameParamShape = z.object({ name: TemplateNameShape });

export const VersionQueryShape = z.strictObject({
  version: z
    .string()
    .regex(/^[1-9]\d{0,8}$/, { error: 'expected a whole number from 1' })
    .transform(Number)
    .optional()
    .openapi({ type: 'integer', minimum: 1, description: 'Default: the latest.' }),
});
