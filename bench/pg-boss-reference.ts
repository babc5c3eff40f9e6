/**
 * What raw pg-boss does on the same server in the same run: the yardstick of every figure.
 */
import { PgBoss } from 'pg-boss';

const QUEUE = 'reference';
const LATENCY_QUEUE = 'reference-latency';
const JOBS = 20_000;

export interface BossReference {
  readonly insertRate: number;
  readonly fetchCompleteRate: number;
  /** Jobs per second through insert, fetch and complete. */
  readonly lifecycleRate: number;
  readonly latencies: number[];
}

export async function measureBoss(url: string, latencySamples: number): Promise<BossReference> {
  const boss = new PgBoss({ connectionString: url, schema: 'reference', max: 10, useListenNotify: true });
  boss.on('error', () => {});
  await boss.start();
  try {
    await boss.createQueue(QUEUE, { partition: true });
    const insertRate = await insertAll(boss);
    const fetchCompleteRate = await drainAll(boss);
    const lifecycleRate = 1 / (1 / insertRate + 1 / fetchCompleteRate);
    return {
      insertRate,
      fetchCompleteRate,
      lifecycleRate,
      latencies: await sendToHandled(boss, latencySamples),
    };
  } finally {
    await boss.deleteQueue(QUEUE).catch(() => {});
    await boss.stop({ graceful: false });
  }
}

async function insertAll(boss: PgBoss): Promise<number> {
  const begun = performance.now();
  for (let left = JOBS; left > 0; left -= 1_000) {
    await boss.insert(
      QUEUE,
      Array.from({ length: 1_000 }, () => ({ data: { ok: true } })),
    );
  }
  return JOBS / ((performance.now() - begun) / 1000);
}

/** Batches of 1,000 on four loops: the best of the sizes tried on this kind of machine. */
async function drainAll(boss: PgBoss): Promise<number> {
  const begun = performance.now();
  const loop = async () => {
    for (;;) {
      const jobs = await boss.fetch(QUEUE, { batchSize: 1_000 });
      if (jobs.length === 0) return;
      await boss.complete(QUEUE, jobs);
    }
  };
  await Promise.all([loop(), loop(), loop(), loop()]);
  return JOBS / ((performance.now() - begun) / 1000);
}

async function sendToHandled(boss: PgBoss, samples: number): Promise<number[]> {
  await boss.createQueue(LATENCY_QUEUE, { partition: true, notify: true });
  let handled: () => void = () => {};
  await boss.work(LATENCY_QUEUE, { batchSize: 1 }, async () => handled());
  const measured: number[] = [];
  for (let sample = 0; sample < samples; sample++) {
    const done = new Promise<void>((resolve) => {
      handled = resolve;
    });
    const begun = performance.now();
    await boss.send(LATENCY_QUEUE, { ok: true });
    await done;
    measured.push(performance.now() - begun);
  }
  return measured;
}
