/**
 * Health and metrics: for probes and scrapers, not for people.
 *
 * Health is open, since probes carry no keys. Metrics cover every workspace and need an admin key where keys are
 * configured.
 */
import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { EngineError } from '../core/problem.ts';
import type { HealthReport } from '../services/health-report.ts';
import type { ApiEnv } from './context.ts';
import type { Router } from './route.ts';

const TAG = 'Operations';
const METRICS_MEDIA_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

const HealthShape = z
  .object({
    status: z.enum(['ok', 'unavailable']),
    checks: z.record(
      z.string(),
      z.object({ status: z.enum(['ok', 'fail']), message: z.string().optional() }),
    ),
    warnings: z.array(z.string()).optional().openapi({
      description: 'What does not keep the engine from serving and should be mended all the same.',
    }),
  })
  .openapi('Health');

export interface HealthPort {
  /** Whether the process itself works. */
  live(): HealthReport;
  /** Whether it can serve: database, migrations, not draining. */
  ready(): Promise<HealthReport>;
}

/** Mounts health and metrics. */
export function addOperationRoutes(router: Router, health: HealthPort, metrics: () => Promise<string>): void {
  addHealth(router, '/health', 'Whether the engine can serve', () => health.ready());
  addHealth(router, '/health/live', 'Whether the process works', async () => health.live());
  addHealth(router, '/health/ready', 'Whether the engine can serve', () => health.ready());
  router.add({
    method: 'get',
    path: '/metrics',
    access: 'engine',
    tag: TAG,
    summary: 'Metrics in the Prometheus text format',
    responses: { 200: { description: 'The metrics', schema: z.string(), mediaType: 'text/plain' } },
    async handle(_parts, { c }) {
      return c.body(await metrics(), 200, { 'Content-Type': METRICS_MEDIA_TYPE });
    },
  });
}

function addHealth(router: Router, path: string, summary: string, read: () => Promise<HealthReport>): void {
  router.add({
    method: 'get',
    path,
    access: 'public',
    tag: TAG,
    summary,
    responses: {
      200: { description: 'It does', schema: HealthShape },
      503: { description: 'It does not', schema: HealthShape },
    },
    handle: async (_parts, { c }) => answerHealth(c, await read().catch(refuseUnknownHealth)),
  });
}

function refuseUnknownHealth(cause: unknown): never {
  throw new EngineError('unavailable', 'The health check itself failed.', [], cause);
}

function answerHealth(c: Context<ApiEnv>, report: HealthReport): Response {
  return c.json(report, report.status === 'unavailable' ? 503 : 200);
}
