/**
 * `bun run bench:http`: a load generator through the HTTP API. First as fast as a fixed number of clients can
 * (the sustained rate of `start`), then at 50 % and 90 % of that rate, with p50 and p99 of `start` and of
 * start-to-completed.
 *
 * The engine is a process of its own; this process is the clients. Loopback only, bounded in time: about
 * 4 x BENCH_SECONDS. BENCH_SECONDS (10: a thousand ends are watched, of which p99 is the tenth worst),
 * BENCH_CLIENTS (64), BENCH_WORKLOAD (single; chain, fan, real-chain …).
 */
import { createPool } from '../db/connection/client.ts';
import { atRate, closedLoop, type Load } from './http-load.ts';
import { describeMachine, resultName } from './machine.ts';
import { store } from './report/results.ts';
import { markdownTable, show } from './report/statistics.ts';
import { numberSetting } from './settings.ts';
import { publishOver } from './subject/engine-client.ts';
import { engineEnv } from './subject/engine-settings.ts';
import { startBenchServer, stopOnSignal } from './subject/server.ts';
import { SubjectProcess } from './subject/subject-process.ts';
import { untilIdle, WORKLOADS } from './workloads.ts';

const seconds = numberSetting('BENCH_SECONDS', 10);
const clients = numberSetting('BENCH_CLIENTS', 64);
const name = (process.env.BENCH_WORKLOAD ?? 'single') as keyof typeof WORKLOADS;
const SHARES = [0.5, 0.9] as const;
if (!(name in WORKLOADS)) throw new Error(`BENCH_WORKLOAD is one of ${Object.keys(WORKLOADS).join(', ')}`);

const server = await startBenchServer();
stopOnSignal(server.stop);
const databaseUrl = await server.database('engine');
const env = engineEnv(databaseUrl, {
  EXECUTION_ENGINE_STEPS: `${import.meta.dirname}/subject/sleep-step.ts`,
});
const engine = new SubjectProcess({ script: 'engine-process.ts', env });
const pool = createPool(databaseUrl, { max: 1, applicationName: 'bench' });
const loads: { name: string; load: Load }[] = [];
let maximum = 0;
let settings = '';
try {
  const { url, settings: engineSettings } = await engine.describe();
  settings = `${engineSettings}; one start per request`;
  const workload = WORKLOADS[name];
  const template = await publishOver(url!, workload);
  const body = JSON.stringify({
    template,
    ...(workload.inputs === undefined ? {} : { inputs: workload.inputs }),
  });
  await closedLoop(url!, body, clients, Math.min(1, seconds / 3));
  await untilIdle(pool);

  const begun = performance.now();
  const full = await closedLoop(url!, body, clients, seconds);
  await untilIdle(pool);
  // Only finished executions count as sustained: a growing backlog is not throughput.
  maximum = full.started / ((performance.now() - begun) / 1000);
  loads.push({ name: `${clients} clients, as fast as they can`, load: full });
  for (const share of SHARES) {
    const load = await atRate(url!, body, maximum * share, seconds);
    loads.push({ name: `${share * 100} % of the maximum`, load });
    await untilIdle(pool);
  }
} finally {
  await engine.stop();
  await pool.end();
  await server.stop();
}

console.log(
  `\n${name} over HTTP: ${show(maximum)} executions per second sustained (started and completed), ` +
    `${show(maximum * WORKLOADS[name].stepCount)} steps per second\nEngine: ${settings}\n`,
);
const head = [
  'load',
  'starts per second',
  'start p50, ms',
  'p99',
  'start to completed p50, ms',
  'p99',
  'failed',
];
const rows = loads.map(({ name: of, load }) => [
  of,
  show(load.rate),
  show(load.start.p50),
  show(load.start.p99),
  show(load.completed.p50),
  show(load.completed.p99),
  String(load.failed),
]);
console.log(markdownTable(head, rows));
const machine = describeMachine();
const path = store(resultName(`http-${name}-`, machine), {
  machine,
  server: server.settings,
  settings,
  seconds,
  clients,
  workload: name,
  maximum,
  loads,
});
console.log(`\nStored in ${path}`);
process.exit(0);
