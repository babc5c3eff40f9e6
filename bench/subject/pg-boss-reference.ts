/**
 * The speed of raw pg-boss on the same server in the same run: the yardstick of every figure.
 */
import { PgBoss } from 'pg-boss';
import { sample } from './protocol.ts';

const QUEUE = 'reference';
const LATENCY_QUEUE = 'reference-latency';
const INSERT_SIZE = 1_000;
const LOOPS = 4;
export const BATCH_SIZES = [250, 500, 1_000] as const;

export interface Lifecycle {
  readonly insertSeconds: number;
  readonly drainSeconds: number;
}

export interface BossReference {
  readonly insertRate: number;
  readonly fetchCompleteRate: number;
  /** Jobs per second through insert, fetch and complete. */
  readonly lifecycleRate: number;
  readonly latencies: number[];
}

export async function openBoss(url: string): Promise<PgBoss> {
  const boss = new PgBoss({ connectionString: url, schema: 'reference', max: 10, useListenNotify: true });
  boss.on('error', () => {});
  await boss.start();
  await boss.createQueue(QUEUE, { partition: true });
  await boss.createQueue(LATENCY_QUEUE, { partition: true, notify: true });
  return boss;
}

/** Inserts jobs a thousand at a time, then fetches and completes them in batches on four loops. */
export async function lifecycle(boss: PgBoss, jobs: number, batchSize: number): Promise<Lifecycle> {
  const begun = performance.now();
  for (let left = jobs; left > 0; left -= INSERT_SIZE) {
    const batch = Array.from({ length: Math.min(left, INSERT_SIZE) }, () => ({ data: { ok: true } }));
    await boss.insert(QUEUE, batch);
  }
  const inserted = performance.now();
  const loop = async () => {
    for (;;) {
      const fetched = await boss.fetch(QUEUE, { batchSize });
      if (fetched.length === 0) return;
      await boss.complete(QUEUE, fetched);
    }
  };
  await Promise.all(Array.from({ length: LOOPS }, loop));
  return {
    insertSeconds: (inserted - begun) / 1000,
    drainSeconds: (performance.now() - inserted) / 1000,
  };
}

/** Milliseconds from `send` to the handler, woken by NOTIFY. */
export async function sendToHandled(boss: PgBoss, samples: number, seconds: number): Promise<number[]> {
  let handled: () => void = () => {};
  await boss.work(LATENCY_QUEUE, { batchSize: 1 }, async () => handled());
  return sample(
    async () => {
      const done = Promise.withResolvers<void>();
      handled = done.resolve;
      await boss.send(LATENCY_QUEUE, { ok: true });
      await done.promise;
    },
    samples,
    seconds,
  );
}

const JOBS = 20_000;

/** Everything at once, in this process, at the largest batch size. */
export async function measureBoss(url: string, latencySamples: number): Promise<BossReference> {
  const boss = await openBoss(url);
  try {
    const { insertSeconds, drainSeconds } = await lifecycle(boss, JOBS, BATCH_SIZES.at(-1)!);
    return {
      insertRate: JOBS / insertSeconds,
      fetchCompleteRate: JOBS / drainSeconds,
      lifecycleRate: JOBS / (insertSeconds + drainSeconds),
      latencies: await sendToHandled(boss, latencySamples, 30),
    };
  } finally {
    await boss.deleteQueue(QUEUE).catch(() => {});
    await boss.stop({ graceful: false });
  }
}
