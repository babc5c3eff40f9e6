/**
 * Lists in pages: `limit` and an opaque `cursor` in, `{ data, next_cursor }` out.
 */
import { z } from '@hono/zod-openapi';

const MAX_LIMIT = 500;

export const LimitShape = z
  .string()
  .regex(/^\d{1,4}$/, { error: `expected a whole number from 1 to ${MAX_LIMIT}` })
  .transform(Number)
  .pipe(z.int().min(1).max(MAX_LIMIT))
  .openapi({ type: 'integer', minimum: 1, maximum: MAX_LIMIT, description: 'Default 50.' });

export const CursorShape = z
  .string()
  .min(1)
  .max(1_000)
  .openapi({ description: '`next_cursor` of the page before.' });

/** A page of items. `next_cursor` is null on the last one. */
export function pageShape<T extends z.ZodType>(item: T) {
  return z.object({ data: z.array(item), next_cursor: z.string().nullable() });
}

/** Query of a list without filters. */
export const PageQueryShape = z.strictObject({
  limit: LimitShape.optional(),
  cursor: CursorShape.optional(),
});
