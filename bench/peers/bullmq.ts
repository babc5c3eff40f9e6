/**
 * BullMQ flows on Redis. A flow is a tree whose leaves run first: a chain is a tree of one branch, and the root
 * of a fan-out adds the join with its 100 children when it runs.
 */
import { type FlowJob, FlowProducer, Queue, Worker } from 'bullmq';
import { sample, serveSubject } from '../subject/protocol.ts';
import { CHAIN_LENGTH, FAN_WIDTH, type Graph, graphOf, OK } from './bodies.ts';
import { RUNTIME, versionsOf } from './installed.ts';

const QUEUE = 'bench';
const CONCURRENCY = 100;
const connection = { host: '127.0.0.1', port: Number(process.env.REDIS_PORT) };
const queueName = QUEUE;
const opts = { removeOnComplete: false };
/** The job whose end is the end of an execution. */
const LAST = 'last';

function chainFlow(): FlowJob {
  let flow: FlowJob = { name: 'step', queueName, data: OK, opts };
  for (let at = 1; at < CHAIN_LENGTH; at++) {
    flow = { name: at === CHAIN_LENGTH - 1 ? LAST : 'step', queueName, data: OK, opts, children: [flow] };
  }
  return flow;
}

const leaves = Array.from({ length: FAN_WIDTH }, () => ({ name: 'step', queueName, data: OK, opts }));
const spread: FlowJob = { name: LAST, queueName, data: OK, opts, children: leaves };

serveSubject(async () => {
  const queue = new Queue(QUEUE, { connection });
  const producer = new FlowProducer({ connection });
  let ended: () => void = () => {};
  const worker = new Worker(
    QUEUE,
    async (job) => {
      if (job.name === 'root') await producer.add(spread);
      return OK;
    },
    { connection, concurrency: CONCURRENCY },
  );
  worker.on('completed', (job) => job.name === LAST && ended());
  worker.on('error', (error) => console.error(error));
  await worker.waitUntilReady();

  const untilEnded = (count: number) =>
    new Promise<void>((resolve) => {
      let left = count;
      ended = () => --left === 0 && resolve();
    });
  const startBatch = (graph: Graph, count: number) => {
    if (graph === 'chain') return producer.addBulk(Array.from({ length: count }, chainFlow));
    const name = graph === 'fan' ? 'root' : LAST;
    return queue.addBulk(Array.from({ length: count }, () => ({ name, data: OK, opts })));
  };
  const batchSize = (graph: Graph) => (graph === 'chain' ? 50 : 500);
  return {
    describe: () => ({
      versions: versionsOf('bullmq', 'ioredis'),
      runtime: RUNTIME,
      settings: `worker concurrency ${CONCURRENCY}, addBulk of 500, FlowProducer.addBulk of 50 chains; latency: the worker's 'completed' event`,
    }),
    run: async (workload, executions) => {
      const graph = graphOf(workload);
      const done = untilEnded(executions);
      const begun = performance.now();
      for (let left = executions; left > 0; left -= batchSize(graph)) {
        await startBatch(graph, Math.min(left, batchSize(graph)));
      }
      await done;
      return { seconds: (performance.now() - begun) / 1000 };
    },
    latency: (workload, samples, seconds) =>
      sample(
        async () => {
          const done = untilEnded(1);
          await startBatch(graphOf(workload), 1);
          await done;
        },
        samples,
        seconds,
      ),
    stop: async () => {
      await worker.close();
      await queue.obliterate({ force: true });
      await Promise.all([queue.close(), producer.close()]);
    },
  };
});
