/**
 * `bun run bench`: throughput and latency of this engine beside raw pg-boss, on one durable server, in one run.
 *
 * BENCH_ROUNDS (default 3) rounds, interleaved; medians are printed with their spread.
 */
import { cpus } from 'node:os';
import { loadConfig } from '../config/config.ts';
import { startEngine } from '../engine/engine.ts';
import { createLog } from '../telemetry/log.ts';
import { quantile, show } from './report/statistics.ts';
import { numberSetting } from './settings.ts';
import { publishOver, startOver, untilCompleted } from './subject/engine-client.ts';
import { describeSettings, engineEnv } from './subject/engine-settings.ts';
import { measureBoss } from './subject/pg-boss-reference.ts';
import { sample } from './subject/protocol.ts';
import { startBenchServer, stopOnSignal } from './subject/server.ts';
import { chain, fan, single, throughput, type Workload } from './workloads.ts';

const ROUNDS = numberSetting('BENCH_ROUNDS', 3);
const SAMPLES = 200;

const server = await startBenchServer();
stopOnSignal(server.stop);
const databaseUrl = await server.database('bench');
const log = createLog({ level: 'error', pretty: false, secrets: [] });
const config = loadConfig(engineEnv(databaseUrl));
const engine = await startEngine(config, databaseUrl, log);
const figures = new Map<string, number[]>();
const note = (name: string, value: number) => figures.set(name, [...(figures.get(name) ?? []), value]);

try {
  await throughput(engine, chain, 200);
  for (let round = 0; round < ROUNDS; round++) {
    const boss = await measureBoss(databaseUrl, SAMPLES);
    note('pg-boss insert, jobs/s', boss.insertRate);
    note('pg-boss fetch+complete, jobs/s', boss.fetchCompleteRate);
    note('pg-boss lifecycle, jobs/s', boss.lifecycleRate);
    note('pg-boss send to handled p50, ms', quantile(boss.latencies, 0.5));
    for (const [workload, executions] of [
      [single, 5_000],
      [chain, 2_000],
      [fan, 100],
    ] as const) {
      const rate = await throughput(engine, workload, executions);
      note(`${workload.name}, steps/s`, rate);
      note(`${workload.name}, of the lifecycle rate`, rate / boss.lifecycleRate);
    }
    for (const workload of [single, chain]) {
      const measured = await latencies(workload);
      note(`${workload.name} idle p50, ms`, quantile(measured, 0.5));
      note(`${workload.name} idle p99, ms`, quantile(measured, 0.99));
      if (workload === single) {
        note(
          'single idle p50, of pg-boss send to handled',
          quantile(measured, 0.5) / quantile(boss.latencies, 0.5),
        );
      }
    }
  }
} finally {
  await engine.stop();
  await server.stop();
}
report();
process.exit(0);

function report(): void {
  const { rows, server } = {
    rows: [...figures],
    server: 'embedded PostgreSQL 18, fsync on, synchronous_commit on',
  };
  console.log(
    `${cpus().length} x ${cpus()[0]?.model ?? 'cpu'}; Bun ${process.versions.bun}; ${server}; ${ROUNDS} rounds`,
  );
  console.log(`Engine: ${describeSettings(config.concurrency)}`);
  for (const [name, values] of rows) {
    const [low, middle, high] = [0, 0.5, 1].map((q) => show(quantile(values, q)));
    console.log(`${name.padEnd(48)} ${middle!.padStart(10)}   [${low} - ${high}]`);
  }
}

/** Milliseconds from the start call over HTTP to the answer of a long poll that says completed. */
async function latencies(workload: Workload): Promise<number[]> {
  const url = engine.url;
  const body = JSON.stringify({ template: await publishOver(url, workload) });
  return sample(async () => untilCompleted(url, await startOver(url, body)), SAMPLES, 30);
}
