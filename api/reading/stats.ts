/**
 * The call for statistics of executions.
 */
import { z } from '@hono/zod-openapi';
import { BUCKETS_MS, MAX_BUCKETS } from '../../core/stats/spans.ts';
import { parseDurationText } from '../../core/time/duration.ts';
import type { StatsBody, StatsPort } from '../../services/stats/stats-answers.ts';
import { requireWorkspace } from '../auth.ts';
import { AskedInstantShape, IdShape, InstantShape, TemplateNameShape } from '../execution/bodies.ts';
import type { Router } from '../route.ts';

const BUCKETS = BUCKETS_MS.map((ms) => (ms < 3_600_000 ? `${ms / 60_000}m` : `${ms / 3_600_000}h`)).join(
  ', ',
);

const StatsQueryShape = z.strictObject({
  since: AskedInstantShape.optional().openapi({ description: 'Default: a day before `until`.' }),
  until: AskedInstantShape.optional().openapi({ description: 'Default: now.' }),
  bucket: z
    .string()
    .refine((text) => BUCKETS_MS.includes(parseDurationText(text) ?? -1), {
      error: `expected one of ${BUCKETS}`,
      params: { code: 'not_allowed' },
    })
    .transform((text) => parseDurationText(text)!)
    .optional()
    .openapi({
      type: 'string',
      example: '1h',
      description: `One of ${BUCKETS}; default: about a hundred of them. At most ${MAX_BUCKETS} in an answer.`,
    }),
  template: TemplateNameShape.optional(),
  workspace_id: IdShape.optional(),
});

const PercentileShape = z.number().nullable();
const numbers = {
  total: z.int(),
  completed: z.int(),
  failed: z.int(),
  cancelled: z.int(),
  timed_out: z.int(),
  p50_ms: PercentileShape.openapi({
    description: 'Of the durations of those that had begun, within 5 %; null: there are none.',
  }),
  p95_ms: PercentileShape,
};

const StatsShape = z
  .object({
    since: InstantShape,
    until: InstantShape,
    bucket_ms: z.int(),
    template: z.string().nullable(),
    data: z.array(z.object({ at: InstantShape, ...numbers })),
    totals: z.object(numbers),
  })
  .openapi('Stats') satisfies z.ZodType<StatsBody>;

/** Mounts the call. */
export function addStatsRoute(router: Router, { stats }: { stats: StatsPort }): void {
  router.add({
    method: 'get',
    path: '/admin/stats',
    access: 'viewer',
    tag: 'Administration',
    summary: 'Count executions by how they ended, and measure how long they took',
    description:
      'By the time of their end, in buckets that begin at multiples of their length (UTC). Child executions are not counted. The numbers may be 10 s old.',
    query: StatsQueryShape,
    responses: { 200: { description: 'The buckets', schema: StatsShape } },
    errors: ['unavailable'],
    async handle({ query }, { c, identity }) {
      requireWorkspace(identity, query.workspace_id);
      return c.json(await stats.stats(identity, query));
    },
  });
}
