/** DBOS Transact: workflows as functions, started in process. */
import { DBOS } from '@dbos-inc/dbos-sdk';
import { inFlight, sample, serveSubject, type Workload } from '../subject/protocol.ts';
import { type Graph, graphOf, play } from './bodies.ts';
import { DATABASE_URL, RUNTIME, versionsOf } from './installed.ts';
import { Watch } from './watch.ts';

const QUEUED = process.argv[2] === 'queue';
const STARTS_IN_FLIGHT = 100;
const QUEUE = 'bench';

const workflow = (graph: Graph) =>
  DBOS.registerWorkflow(() => play(graph, (name, body) => DBOS.runStep(body, { name })), { name: graph });
const workflows = { single: workflow('single'), chain: workflow('chain'), fan: workflow('fan') };

serveSubject(async () => {
  DBOS.setConfig({
    name: 'bench',
    systemDatabaseUrl: DATABASE_URL,
    systemDatabasePoolSize: 20,
    logLevel: 'error',
  });
  await DBOS.launch();
  const watch = new Watch(`from dbos.workflow_status where status in ('ENQUEUED', 'PENDING', 'DELAYED')`);
  if (QUEUED) {
    await DBOS.registerQueue(QUEUE, { workerConcurrency: 200, minPollingIntervalMs: 50 });
    await watch.connect();
  }
  const start = (workload: Workload) =>
    DBOS.startWorkflow(workflows[graphOf(workload)], QUEUED ? { queueName: QUEUE } : undefined)();
  return {
    describe: () => ({
      versions: versionsOf('@dbos-inc/dbos-sdk'),
      runtime: RUNTIME,
      settings: QUEUED
        ? 'registered queue, workerConcurrency 200, minPollingIntervalMs 50, system pool 20, no tracing'
        : 'startWorkflow in process, 100 in flight, system pool 20, no tracing; latency: getResult() in process',
    }),
    run: async (workload, executions) => {
      const begun = performance.now();
      await inFlight(executions, STARTS_IN_FLIGHT, async () => {
        const handle = await start(workload);
        if (!QUEUED) await handle.getResult();
      });
      const observed = QUEUED ? await watch.untilNoneOpen() : 0;
      return { seconds: (performance.now() - begun) / 1000, observed };
    },
    latency: (workload, samples, seconds) =>
      sample(async () => void (await (await start(workload)).getResult()), samples, seconds),
    stop: async () => {
      if (QUEUED) await watch.close();
      await DBOS.shutdown();
    },
  };
});
