/**
 * `bun run bench:scopes`: the cost of an item of a foreach beside that of a step of a chain, in one run.
 *
 * One engine process on a durable server. Each round runs chains of 10, a foreach of many items and one of ten times as
 * many, in turn; medians are printed with their spread, and the memory of the engine.
 *
 * BENCH_SCOPES_ITEMS (10,000), BENCH_SCOPES_ROUNDS (3), BENCH_SCOPES_CONCURRENCY (100).
 */
import { createPool } from '../db/connection/client.ts';
import { quantile, show } from './report/statistics.ts';
import { MemoryWatch } from './resident-memory.ts';
import { numberSetting } from './settings.ts';
import { publishOver, startManyOver, startOver } from './subject/engine-client.ts';
import { engineEnv } from './subject/engine-settings.ts';
import { startBenchServer, stopOnSignal } from './subject/server.ts';
import { SubjectProcess } from './subject/subject-process.ts';
import { chain, untilIdle, type Workload } from './workloads.ts';

const items = numberSetting('BENCH_SCOPES_ITEMS', 10_000);
const rounds = numberSetting('BENCH_SCOPES_ROUNDS', 3);
const concurrency = numberSetting('BENCH_SCOPES_CONCURRENCY', 100);
const CHAINS = 1_000;
const TIMES_MORE = 10;

const server = await startBenchServer();
stopOnSignal(server.stop);
const databaseUrl = await server.database('engine');
const engine = new SubjectProcess({ script: 'engine-process.ts', env: engineEnv(databaseUrl) });
const pool = createPool(databaseUrl, { max: 1, applicationName: 'bench', statementTimeoutMs: 0 });
const watch = new MemoryWatch(engine.pid);
/** Microseconds of each step or item, by what was run. */
const costs = new Map<string, number[]>();

try {
  await measure();
} finally {
  watch.stop();
  await engine.stop();
  await pool.end();
  await server.stop();
}
report();
process.exit(0);

async function measure(): Promise<void> {
  const { url } = await engine.describe();
  const chains = await publishOver(url!, chain);
  const each = await publishOver(url!, foreach());
  await startManyOver([url!], chains, chain, CHAINS);
  await Promise.race([untilIdle(pool), engine.gone]);
  for (let round = 0; round < rounds; round += 1) {
    await timed('step of a chain', CHAINS * chain.stepCount, () =>
      startManyOver([url!], chains, chain, CHAINS),
    );
    for (const count of [items, items * TIMES_MORE])
      await timed(`item of ${count}`, count, () =>
        startOver(url!, JSON.stringify({ template: each, inputs: { count } })),
      );
  }
}

async function timed(name: string, count: number, start: () => Promise<unknown>): Promise<void> {
  const begun = performance.now();
  await start();
  await Promise.race([untilIdle(pool), engine.gone]);
  const us = ((performance.now() - begun) * 1_000) / count;
  costs.set(name, [...(costs.get(name) ?? []), us]);
}

function foreach(): Workload {
  const steps = { one: { type: 'noop', with: { ok: true } } };
  const params = {
    items: '${{ input.count }}',
    concurrency,
    collect: 'summary',
    output: '${{ index }}',
    steps,
  };
  const definition = { name: 'foreach', steps: { each: { type: 'foreach', with: params } } };
  return { name: 'foreach', stepCount: 1, definition };
}

function report(): void {
  const step = quantile(costs.get('step of a chain')!, 0.5);
  for (const [name, values] of costs) {
    const [low, middle, high] = [0, 0.5, 1].map((q) => quantile(values, q));
    const ratio = show(middle! / step);
    console.log(
      `${name.padEnd(20)} ${show(middle!).padStart(8)} us   [${show(low!)} - ${show(high!)}]   ${ratio} of a step`,
    );
  }
  console.log(
    `most resident memory of the engine: ${show(Math.max(...watch.samples.map(({ mb }) => mb)))} MB`,
  );
}
