/**
 * The caller or the parent that has paused an execution.
 */
import { z } from '@hono/zod-openapi';

export const PausedByShape = z.guid().nullable().openapi({
  description: 'The parent with which it was paused; null: it is not paused, or by itself.',
});
