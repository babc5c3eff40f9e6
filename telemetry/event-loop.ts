/**
 * Measures how late the event loop is: the time for which nothing else in the process could run.
 *
 * The runtime's own figure is not used: on Bun it reads 0.
 */
import type { Metrics } from './metrics.ts';

const LAG_PERIOD_MS = 100;

export interface EventLoopWatch {
  /** Milliseconds of a clock that never goes back. */
  now: () => number;
  /** Calls back every `ms` milliseconds, without keeping the process alive; returns what ends it. */
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
