/**
 * Absurd: a queue and checkpoints in SQL functions. Its npm package does not bring them: BENCH_ABSURD_SQL is the path
 * of a file that has them.
 *
 * Its documentation says that a worker's throughput depends on concurrency (1 by default; tasks claimed per poll follow
 * it). An idle worker polls, every 250 ms by default; here it polls often enough that polling does not decide the idle
 * latency.
 */
import { readFileSync } from 'node:fs';
import { Absurd } from 'absurd-sdk';
import pg from 'pg';
import { inFlight, sample, serveSubject } from '../subject/protocol.ts';
import { type Graph, graphOf, play } from './bodies.ts';
import { DATABASE_URL, RUNTIME, versionsOf } from './installed.ts';
import { until, Watch } from './watch.ts';

const QUEUE = 'bench';
const CONCURRENCY = 50;
const POLL_SECONDS = 0.01;
const POOL = 20;
const STARTS_IN_FLIGHT = 20;

serveSubject(async () => {
  const pool = new pg.Pool({ connectionString: DATABASE_URL, max: POOL });
  const { rows } = await pool.query(`select to_regnamespace('absurd') is not null as there`);
  if (!rows[0].there) await pool.query(readFileSync(process.env.BENCH_ABSURD_SQL!, 'utf8'));
  const absurd = new Absurd({ db: pool, queueName: QUEUE });
  if (!(await absurd.listQueues()).includes(QUEUE)) await absurd.createQueue(QUEUE);
  for (const name of ['single', 'chain', 'fan'] satisfies Graph[]) {
    absurd.registerTask({ name }, (_params, context) => play(name, (key, body) => context.step(key, body)));
  }
  const worker = await absurd.startWorker({ concurrency: CONCURRENCY, pollInterval: POLL_SECONDS });
  const watch = new Watch(`from absurd.t_${QUEUE} where state not in ('completed', 'failed', 'cancelled')`);
  await watch.connect();
  return {
    describe: () => ({
      versions: versionsOf('absurd-sdk', 'pg'),
      runtime: RUNTIME,
      settings: `concurrency ${CONCURRENCY}, pollInterval ${POLL_SECONDS} s, pool ${POOL}, ${STARTS_IN_FLIGHT} starts in flight; latency: its state read every 5 ms`,
    }),
    run: async (workload, executions) => {
      const begun = performance.now();
      await inFlight(executions, STARTS_IN_FLIGHT, () => absurd.spawn(graphOf(workload), {}));
      const observed = await watch.untilNoneOpen();
      return { seconds: (performance.now() - begun) / 1000, observed };
    },
    latency: (workload, samples, seconds) =>
      sample(
        async () => {
          const { taskID } = await absurd.spawn(graphOf(workload), {});
          await until(async () => (await absurd.fetchTaskResult(taskID))?.state === 'completed');
        },
        samples,
        seconds,
      ),
    stop: async () => {
      await worker.close();
      await watch.close();
      await pool.end();
    },
  };
});
