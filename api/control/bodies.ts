/**
 * The parts that all calls that control executions share: the answer of a dry run.
 */
import { z } from '@hono/zod-openapi';
import type { DryRun } from '../../core/control/dry-run.ts';

const PathsShape = z.array(z.string());

export const DryRunAskedShape = z
  .boolean()
  .optional()
  .openapi({ description: 'Changes nothing, and says in the answer what the call would do.' });

export const DryRunShape = z
  .object({
    dry_run: z.literal(true),
    resets: PathsShape,
    starts: PathsShape,
    cancels: PathsShape,
    skips: PathsShape,
    warnings: z.array(z.object({ code: z.string(), message: z.string(), step: z.string().nullable() })),
  })
  .openapi('DryRun', {
    description: 'What the call would do. Steps are named by path.',
  }) satisfies z.ZodType<DryRun>;
