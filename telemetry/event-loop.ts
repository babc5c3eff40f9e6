/**
 * Measures the lag of the event loop: the time for which no other work in the process could run.
 *
 * The runtime's own figure is unusable: on Bun it reads 0.
 */
import type { Metrics } from './metrics.ts';

const LAG_PERIOD_MS = 100;

export interface EventLoopWatch {
  /** Returns milliseconds of a monotonic clock. */
  now: () => number;
  /** Calls back every `ms` milliseconds, without keeping the process alive; returns a function that ends it. */
  every: (ms: number, callback: () => void) => () => void;
}

/** Measures the lag of the event loop ten times a second; the returned function ends it. */
export function watchEventLoop(
  { eventLoopLag }: Pick<Metrics, 'eventLoopLag'>,
  { now, every }: EventLoopWatch = { now: () => performance.now(), every: onTimer },
): () => void {
  let last = now();
  return every(LAG_PERIOD_MS, () => {
    const fired = now();
    eventLoopLag.observe(Math.max(0, fired - last - LAG_PERIOD_MS) / 1_000);
    last = fired;
  });
}

function onTimer(ms: number, callback: () => void): () => void {
  const timer = setInterval(callback, ms).unref();
  return () => clearInterval(timer);
}
