/**
 * The inbox of forms. Forms are answered by the calls on steps (api/step/).
 */
import { z } from '@hono/zod-openapi';
import { VOTES } from '../../core/forms/decisions.ts';
import type { FormItem, InboxPort } from '../../services/forms/inbox-answers.ts';
import { IdShape, InstantShape, JsonShape } from '../execution/bodies.ts';
import { CursorShape, LimitShape, pageShape } from '../page.ts';
import type { Router } from '../route.ts';

const QueryShape = z.strictObject({
  assignee: z.string().min(1).max(200).optional().openapi({
    description: 'A user id, or role:<name>: forms that are assigned to it.',
  }),
  workspace_id: IdShape.optional().openapi({ description: 'For admin keys; default: all.' }),
  limit: LimitShape.optional(),
  cursor: CursorShape.optional(),
});

const DecisionShape = z.object({
  user_id: z.string().nullable(),
  decision: z.enum(VOTES),
  comment: z.string().nullable(),
  at: InstantShape,
});

const FormShape = z
  .object({
    step_id: z.guid(),
    execution_id: z.guid(),
    template: z.string(),
    key: z.string(),
    scope: z.string(),
    title: z.string(),
    description: z.string().nullable(),
    schema: JsonShape.openapi({ description: 'JSON Schema of the output; null: any will do.' }),
    assignees: z.array(z.string()),
    decisions: z.array(DecisionShape),
    created_at: InstantShape,
    due_at: InstantShape.nullable(),
  })
  .openapi('Form') satisfies z.ZodType<FormItem>;

/** Mounts the inbox. */
export function addFormRoutes(router: Router, { inbox }: { inbox: InboxPort }): void {
  router.add({
    method: 'get',
    path: '/api/v1/forms',
    access: 'viewer',
    tag: 'Forms',
    summary: 'List the forms that wait',
    description: 'The oldest first.',
    query: QueryShape,
    responses: { 200: { description: 'A page of forms', schema: pageShape(FormShape) } },
    errors: ['unavailable'],
    async handle({ query }, { c, identity }) {
      return c.json(await inbox.forms(identity, query));
    },
  });
}
