import { expect, test } from 'bun:test';
import type { Pool } from '../db/connection/client.ts';
import type { ExecutionEngineQueue, FetchedJob } from '../queue/execution-engine-queue.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { CallbackSender } from './callbacks/sender.ts';
import type { Dispatcher } from './dispatcher.ts';
import { drain } from './drain.ts';

const never = () => new Promise<never>(() => {});

test('a drain ends although the database takes no step back', async () => {
  let isDropped = false;
  const attempt = { executionId: 'e', slot: 0, claim: {}, drop: () => (isDropped = true) };
  const dispatcher = { closeForClaims() {}, idleWithin: async () => {}, attempts: () => [attempt] };
  await drain({ door: { deliver: never }, dispatcher: dispatcher as unknown as Dispatcher, graceMs: 1 });
  expect(isDropped).toBe(true);
});

test('callbacks are closed although one of them never ends', async () => {
  const sender = new CallbackSender({
    pool: { query: never, connect: never } as unknown as Pool,
    queue: {} as ExecutionEngineQueue,
    client: never,
    log: {} as Log,
    metrics: {} as Metrics,
    onError: () => {},
  });
  const data = { kind: 'callback', execution_id: 'e', attempt: 1 };
  const { leased } = sender.lease([
    { queue: 'WorkflowExecutionQueue', id: 'j', data } as unknown as FetchedJob,
  ]);
  expect(leased).toHaveLength(1);
  sender.send(leased);
  await sender.close();
});
