/** OpenWorkflow on its PostgreSQL backend: a worker in this process, starts in process. */
import { OpenWorkflow } from 'openworkflow';
import { BackendPostgres } from 'openworkflow/postgres';
import { inFlight, sample, serveSubject } from '../subject/protocol.ts';
import { type Graph, graphOf, play } from './bodies.ts';
import { DATABASE_URL, RUNTIME, versionsOf } from './installed.ts';
import { until, Watch } from './watch.ts';

const CONCURRENCY = 20;

serveSubject(async () => {
  const backend = await BackendPostgres.connect(DATABASE_URL);
  const engine = new OpenWorkflow({ backend });
  const workflow = (name: Graph) =>
    engine.defineWorkflow({ name }, ({ step }) => play(name, (key, body) => step.run({ name: key }, body)));
  const workflows = { single: workflow('single'), chain: workflow('chain'), fan: workflow('fan') };
  const worker = engine.newWorker({ concurrency: CONCURRENCY });
  await worker.start();
  const watch = new Watch(
    `from openworkflow.workflow_runs where status not in ('completed', 'succeeded', 'failed', 'canceled')`,
  );
  await watch.connect();
  return {
    describe: () => ({
      versions: versionsOf('openworkflow', 'postgres'),
      runtime: RUNTIME,
      settings: `worker concurrency ${CONCURRENCY}, ${CONCURRENCY} starts in flight; latency: its state read every 5 ms`,
    }),
    run: async (workload, executions) => {
      const begun = performance.now();
      await inFlight(executions, CONCURRENCY, () => workflows[graphOf(workload)].run());
      const observed = await watch.untilNoneOpen();
      return { seconds: (performance.now() - begun) / 1000, observed };
    },
    latency: (workload, samples, seconds) =>
      sample(
        async () => {
          const { workflowRun } = await workflows[graphOf(workload)].run();
          await until(async () => {
            const run = await backend.getWorkflowRun({ workflowRunId: workflowRun.id });
            return run?.status === 'completed';
          });
        },
        samples,
        seconds,
      ),
    stop: async () => {
      await worker.stop();
      await backend.stop();
      await watch.close();
    },
  };
});
