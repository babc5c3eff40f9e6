/**
 * Gauges computed at each scrape: open executions and steps, queues, pools, capacity.
 */
import type { Pool } from '../db/connection/client.ts';
import { readQueueDepths } from '../db/ready-work.ts';
import { countOpen } from '../db/scopes/open-views.ts';
import { type Metrics, replaceSamples, setActiveExecutions, setActiveSteps } from '../telemetry/metrics.ts';

export interface GaugeSources {
  readonly db: Pool;
  readonly jobTable: string;
  readonly pools: Readonly<Record<string, Pool>>;
  readonly capacity: number;
  running(): number;
  sandboxKills(): number;
}

export function collectGauges(metrics: Metrics, sources: GaugeSources): void {
  const { activeExecutions, activeSteps, timerLateness } = metrics;
  metrics.onCollect([activeExecutions, activeSteps, timerLateness], async () => {
    const { executions, steps, timerLatenessSeconds } = await countOpen(sources.db);
    timerLateness.set(timerLatenessSeconds);
    setActiveExecutions(metrics, executions);
    setActiveSteps(metrics, steps);
  });
  metrics.onCollect([metrics.queueDepth, metrics.queueOldestAge], async () => {
    const depths = await readQueueDepths(sources.db, sources.jobTable);
    replaceSamples(
      metrics.queueDepth,
      depths.map(({ queue, depth }) => ({ labels: { queue }, value: depth })),
    );
    replaceSamples(
      metrics.queueOldestAge,
      depths.map(({ queue, oldestAgeSeconds }) => ({ labels: { queue }, value: oldestAgeSeconds })),
    );
  });
  let reportedKills = 0;
  metrics.onCollect([metrics.poolConnections, metrics.runningSteps, metrics.capacity], () => {
    replaceSamples(metrics.poolConnections, Object.entries(sources.pools).flatMap(poolSamples));
    metrics.runningSteps.set(sources.running());
    metrics.capacity.set(sources.capacity);
    const kills = sources.sandboxKills();
    metrics.sandboxKills.inc({ reason: 'limit' }, kills - reportedKills);
    reportedKills = kills;
  });
}

function poolSamples([pool, { totalCount, idleCount, waitingCount }]: [string, Pool]) {
  return [
    { labels: { pool, state: 'idle' }, value: idleCount },
    { labels: { pool, state: 'busy' }, value: totalCount - idleCount },
    { labels: { pool, state: 'waiting' }, value: waitingCount },
  ];
}
