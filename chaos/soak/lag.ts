/**
 * The lag of an engine's event loop, from two readings of its metrics.
 */
const NAME = 'execution_engine_event_loop_lag_seconds';

/** Since the process began. */
export interface LagCounts {
  readonly seconds: number;
  readonly count: number;
}

/** @param metrics in Prometheus's text format */
export function lagOf(metrics: string): LagCounts {
  const read = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(metrics)?.[1] ?? Number.NaN);
  return { seconds: read(`${NAME}_sum`), count: read(`${NAME}_count`) };
}

/** Its mean between the two, in milliseconds; null: there was no measurement. */
export function lagSince(before: LagCounts, after: LagCounts): number | null {
  const count = after.count - before.count;
  return count > 0 ? ((after.seconds - before.seconds) / count) * 1_000 : null;
}
