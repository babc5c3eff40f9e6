/**
 * `bun run bench:scale`: several engine processes on one database. Two of them on chains of 10 beside one (they
 * are not to be slower), and four with a handler that sleeps 50 ms beside one at equal concurrency per process
 * (the factor is to be 3.5 or more).
 *
 * BENCH_ROUNDS (3), BENCH_CELL_SECONDS (3), BENCH_SCALE_CONCURRENCY (20: per process, of the sleeping handler).
 * The chains run as the engine is set in all benchmarks (engine-settings.ts).
 */
import { createPool } from '../db/connection/client.ts';
import { describeMachine, resultName } from './machine.ts';
import { Sizes } from './measure.ts';
import { store } from './report/results.ts';
import { markdownTable, showSpread, spread } from './report/statistics.ts';
import { numberSetting } from './settings.ts';
import { publishOver, startManyOver } from './subject/engine-client.ts';
import { ENGINE_CONCURRENCY, engineEnv } from './subject/engine-settings.ts';
import type { Ran } from './subject/protocol.ts';
import { startBenchServer, stopOnSignal } from './subject/server.ts';
import { SubjectProcess } from './subject/subject-process.ts';
import { untilIdle, WORKLOADS } from './workloads.ts';

interface Setup {
  readonly name: string;
  readonly workload: 'chain' | 'sleep';
  readonly processes: number;
  /** Of its own; null: as the engine is set everywhere else. */
  readonly concurrency: number | null;
}

const rounds = numberSetting('BENCH_ROUNDS', 3);
const cellSeconds = numberSetting('BENCH_CELL_SECONDS', 3);
const sleepers = numberSetting('BENCH_SCALE_CONCURRENCY', 20);
const SLEEP_STEP = `${import.meta.dirname}/subject/sleep-step.ts`;

const SETUPS: readonly Setup[] = [
  { name: 'chain, 1 process', workload: 'chain', processes: 1, concurrency: null },
  { name: 'chain, 2 processes', workload: 'chain', processes: 2, concurrency: null },
  { name: 'sleep 50 ms, 1 process', workload: 'sleep', processes: 1, concurrency: sleepers },
  { name: 'sleep 50 ms, 4 processes', workload: 'sleep', processes: 4, concurrency: sleepers },
];

const server = await startBenchServer();
stopOnSignal(server.stop);
const sizes = new Sizes(cellSeconds);
const found = new Map<string, number[]>(SETUPS.map(({ name }) => [name, []]));
try {
  for (let round = 0; round < rounds; round++) {
    for (const setup of round % 2 === 0 ? SETUPS : SETUPS.toReversed()) {
      const rate = await measure(setup);
      found.get(setup.name)!.push(rate);
      console.log(`round ${round + 1} of ${rounds}: ${setup.name}: ${Math.round(rate)} steps/s`);
    }
  }
} finally {
  await server.stop();
}
print();
process.exit(0);

/** Steps per second. Each setup has a database of its own; the starts are shared out over all processes. */
async function measure(setup: Setup): Promise<number> {
  const { name, workload, processes, concurrency } = setup;
  const databaseUrl = await server.database(name.replaceAll(/\W+/g, '-'));
  await server.settle();
  const env = engineEnv(databaseUrl, {
    ...(concurrency === null ? {} : { EXECUTION_ENGINE_CONCURRENCY: String(concurrency) }),
    EXECUTION_ENGINE_STEPS: SLEEP_STEP,
  });
  const pool = createPool(databaseUrl, { max: 1, applicationName: 'bench' });
  const engines: SubjectProcess[] = [];
  try {
    const urls: string[] = [];
    for (let at = 0; at < processes; at++) {
      const engine = new SubjectProcess({ script: 'engine-process.ts', env });
      engines.push(engine);
      urls.push((await engine.describe()).url!);
    }
    const template = await publishOver(urls[0]!, WORKLOADS[workload]);
    const run = async (executions: number): Promise<Ran> => {
      const begun = performance.now();
      await startManyOver(urls, template, WORKLOADS[workload], executions);
      await untilIdle(pool);
      return { seconds: (performance.now() - begun) / 1000 };
    };
    await sizes.warm(name, workload, run);
    const executions = sizes.of(name);
    const { seconds } = await run(executions);
    sizes.learn(name, executions / seconds);
    return (executions * WORKLOADS[workload].stepCount) / seconds;
  } finally {
    await Promise.all(engines.map((engine) => engine.stop()));
    await pool.end();
  }
}

function print(): void {
  const [one, two, alone, four] = SETUPS.map(({ name }) => found.get(name)!);
  const over = (above: number[], below: number[]) =>
    spread(above.map((value, round) => value / below[round]!));
  const pair = over(two!, one!);
  const factor = over(four!, alone!);
  const rows = SETUPS.map(({ name, concurrency }) => [
    name,
    String(concurrency ?? ENGINE_CONCURRENCY),
    showSpread(spread(found.get(name)!)),
  ]);
  console.log(
    `\n${markdownTable(['engines on one database', 'concurrency of each', 'steps per second'], rows)}`,
  );
  console.log(`\nTwo processes over one: ${showSpread(pair)} (wanted: 1 or more)`);
  console.log(`Four sleeping processes over one: ${showSpread(factor)} (wanted: 3.5 or more)`);
  const machine = describeMachine();
  const rates = Object.fromEntries(found);
  const path = store(resultName('scale-', machine), {
    machine,
    server: server.settings,
    rounds,
    cellSeconds,
    setups: SETUPS,
    rates,
    twoOverOne: pair,
    fourOverOne: factor,
  });
  console.log(`Stored in ${path}`);
}
