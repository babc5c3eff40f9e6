/**
 * The metrics of the process and its runtime: those of prom-client that say something on Bun.
 *
 * prom-client's own function for all of them is not used. It walks through the whole heap first, which takes longer than
 * the rest of a start's metrics, and wakes the process a hundred times a second for figures that read 0 on Bun.
 */
import type { Registry } from 'prom-client';
import { onDemand } from '../process/module-on-demand.ts';

/** Names of prom-client's modules. */
const METRICS = [
  'processCpuTotal',
  'processStartTime',
  'osMemoryHeap',
  'processOpenFileDescriptors',
  'processMaxFileDescriptors',
  'processResources',
  'processHandles',
  'processRequests',
  'heapSizeAndUsed',
  'version',
  'gc',
];

/** Gauges whose names end like counters. */
const LEFT_OUT = /^nodejs_active_\w+_total$/;

export function addProcessMetrics(registry: Registry): void {
  for (const name of METRICS)
    onDemand<(registry: Registry) => void>(`prom-client/lib/metrics/${name}`)()(registry);
  for (const { name } of registry.getMetricsAsArray())
    if (LEFT_OUT.test(name)) registry.removeSingleMetric(name);
}
