/**
 * Raw pg-boss as a measured process of its own: the lifecycle of jobs (insert, fetch, complete) at the batch
 * size that turns out best here, and the way from `send` to the handler.
 */
import packageJson from '../../package.json' with { type: 'json' };
import { BATCH_SIZES, lifecycle, openBoss, sendToHandled } from './pg-boss-reference.ts';
import { serveSubject } from './protocol.ts';

const TRIAL_JOBS = 10_000;

serveSubject(async () => {
  const boss = await openBoss(process.env.DATABASE_URL!);
  let best: number = BATCH_SIZES[0];
  let bestSeconds = Number.POSITIVE_INFINITY;
  for (const size of [BATCH_SIZES[0], ...BATCH_SIZES]) {
    const { drainSeconds } = await lifecycle(boss, TRIAL_JOBS, size);
    if (drainSeconds < bestSeconds) [best, bestSeconds] = [size, drainSeconds];
  }
  return {
    describe: () => ({
      versions: { 'pg-boss': packageJson.dependencies['pg-boss'], pg: packageJson.dependencies.pg },
      runtime: `Bun ${process.versions.bun}`,
      settings:
        `partitioned queue, insert of 1,000, fetch + complete on 4 loops in batches of ${best} ` +
        `(the best of ${BATCH_SIZES.join(', ')}), pool of 10; latency: send() to handler, notify queue`,
    }),
    run: async (workload, jobs) => {
      if (workload !== 'lifecycle') throw new Error('raw pg-boss has one workload: lifecycle');
      const { insertSeconds, drainSeconds } = await lifecycle(boss, jobs, best);
      const detail = { insertRate: jobs / insertSeconds, fetchCompleteRate: jobs / drainSeconds };
      return { seconds: insertSeconds + drainSeconds, detail };
    },
    latency: (_workload, samples, seconds) => sendToHandled(boss, samples, seconds),
    stop: () => boss.stop({ graceful: false }),
  };
});
