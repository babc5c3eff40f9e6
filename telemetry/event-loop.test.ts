import { expect, test } from 'bun:test';
import { watchEventLoop } from './event-loop.ts';
import { createMetrics } from './metrics.ts';

test('a timer that fires late is the lag of the event loop', async () => {
  const metrics = createMetrics({ version: '1' });
  let clock = 0;
  let fire = () => {};
  const every = (_ms: number, callback: () => void) => {
    fire = callback;
    return () => {};
  };
  watchEventLoop(metrics, { now: () => clock, every });
  for (const at of [100, 500, 590]) {
    clock = at;
    fire();
  }
  const text = await metrics.render();
  expect(text).toContain('event_loop_lag_seconds_count 3');
  expect(text).toContain('event_loop_lag_seconds_sum 0.3');
});
