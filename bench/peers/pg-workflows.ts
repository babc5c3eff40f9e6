/**
 * pg-workflows: workflow runs as pg-boss jobs. The handlers are written out, because it reads the names of the
 * steps from the handler's source: a run whose last step has a computed name never completes.
 */
import pg from 'pg';
import { WorkflowEngine, workflow } from 'pg-workflows';
import { inFlight, sample, serveSubject } from '../subject/protocol.ts';
import { FAN_WIDTH, graphOf, noop } from './bodies.ts';
import { DATABASE_URL, RUNTIME, versionsOf } from './installed.ts';
import { until, Watch } from './watch.ts';

const WORKERS = 100;
const POOL = 20;
const STARTS_IN_FLIGHT = 20;
process.env.WORKFLOW_RUN_WORKERS = String(WORKERS);

const single = workflow('single', async ({ step }) => {
  await step.run('s0', noop);
});
const chain = workflow('chain', async ({ step }) => {
  await step.run('s0', noop);
  await step.run('s1', noop);
  await step.run('s2', noop);
  await step.run('s3', noop);
  await step.run('s4', noop);
  await step.run('s5', noop);
  await step.run('s6', noop);
  await step.run('s7', noop);
  await step.run('s8', noop);
  await step.run('s9', noop);
});
const fan = workflow('fan', async ({ step }) => {
  await step.run('root', noop);
  await Promise.all(Array.from({ length: FAN_WIDTH }, (_, at) => step.run(`leaf${at}`, noop)));
  await step.run('join', noop);
});

serveSubject(async () => {
  const pool = new pg.Pool({ connectionString: DATABASE_URL, max: POOL });
  const logger = {
    log: () => {},
    error: (message: string, error?: unknown) => console.error(message, error),
  };
  const engine = new WorkflowEngine({ pool, workflows: [single, chain, fan], logger });
  await engine.start();
  const watch = new Watch(`from workflow_runs where status in ('pending', 'running', 'paused')`);
  await watch.connect();
  const start = (workflowId: string) => engine.startWorkflow({ workflowId, input: {} });
  return {
    describe: () => ({
      versions: versionsOf('pg-workflows', 'pg-boss', 'pg'),
      runtime: RUNTIME,
      settings: `WORKFLOW_RUN_WORKERS=${WORKERS}, pool ${POOL}, ${STARTS_IN_FLIGHT} starts in flight; latency: its state read every 5 ms`,
    }),
    run: async (workload, executions) => {
      const begun = performance.now();
      await inFlight(executions, STARTS_IN_FLIGHT, () => start(graphOf(workload)));
      const observed = await watch.untilNoneOpen();
      return { seconds: (performance.now() - begun) / 1000, observed };
    },
    latency: (workload, samples, seconds) =>
      sample(
        async () => {
          const { id: runId } = await start(graphOf(workload));
          await until(async () => (await engine.getRun({ runId })).status === 'completed');
        },
        samples,
        seconds,
      ),
    stop: async () => {
      await watch.close();
      await engine.stop();
      await pool.end();
    },
  };
});
