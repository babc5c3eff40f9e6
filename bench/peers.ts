/**
 * `bun run bench:peers`: this engine, raw pg-boss and the peers in one run, on one durable PostgreSQL, each in
 * a process of its own with a database of its own, in alternating order.
 *
 * BENCH_ROUNDS (5), BENCH_CELL_SECONDS (2.5), BENCH_ONLY (comma list of names), BENCH_ABSURD_SQL (path of Absurd's
 * schema, which its npm package does not bring; without it Absurd is left out). With BENCH_PUBLISH=1 the tables in
 * docs/performance.md are replaced by this run's, if the machine was quiet. The whole run takes about eleven minutes.
 */
import { describeMachine, resultName } from './machine.ts';
import { Sizes } from './measure.ts';
import { publishSection } from './report/publish.ts';
import { report } from './report/report.ts';
import { noise, quantiles, type Results, type SubjectResults, store } from './report/results.ts';
import { numberSetting } from './settings.ts';
import { REDIS_SETTINGS, startRedis } from './subject/redis.ts';
import { startBenchServer, stopOnSignal } from './subject/server.ts';
import { type Candidate, choose, installPeers } from './subject/subjects.ts';
import { type Costs, countCosts, type Stage, type Visit, visit } from './visit.ts';

const rounds = numberSetting('BENCH_ROUNDS', 5);
const cellSeconds = numberSetting('BENCH_CELL_SECONDS', 2.5);
const LATENCY_SECONDS = 1.5;
const only = (process.env.BENCH_ONLY ?? '').split(',').filter((name) => name !== '');

const begun = performance.now();
if (only.length === 0 || only.some((name) => name !== 'engine' && name !== 'pg-boss')) installPeers();
const [server, redis] = [await startBenchServer(), await startRedis()];
const stopServers = async () => {
  await redis?.stop();
  await server.stop();
};
stopOnSignal(stopServers);
const { chosen, leftOut } = choose(only, redis !== null);
const machine = describeMachine();
const results: Results = {
  date: new Date().toISOString(),
  machine,
  rounds,
  cellSeconds,
  server: server.settings,
  redis: redis === null ? null : `${redis.version}, ${REDIS_SETTINGS}`,
  leftOut,
  subjects: {},
};
const costs = new Map<string, Costs>();
const stage: Stage = {
  server,
  redis,
  sizes: new Sizes(cellSeconds),
  latencySamples: 200,
  latencySeconds: Math.min(cellSeconds, LATENCY_SECONDS),
};

try {
  // First, while all tables are small and no vacuum runs; those that write most come last.
  for (const candidate of chosen.toReversed()) {
    if (candidate.store !== 'postgres') continue;
    say(`counting statements and WAL: ${candidate.name}`);
    await attempt(candidate, async () => void costs.set(candidate.name, await countCosts(stage, candidate)));
  }
  for (let round = 0; round < rounds; round++) {
    for (const candidate of round % 2 === 0 ? chosen : chosen.toReversed()) {
      if (isLeftOut(candidate)) continue;
      say(`round ${round + 1} of ${rounds}: ${candidate.name}`);
      await attempt(candidate, async () => note(candidate.name, await visit(stage, candidate)));
    }
  }
} finally {
  await stopServers();
}
const path = store(resultName('', machine), results);
const text = report(results);
console.log(`\n${text}\n\nStored in ${path}; it took ${Math.round((performance.now() - begun) / 1000)} s.`);
if (process.env.BENCH_PUBLISH === '1') console.log(publishSection(text, noise(results)));
process.exit(0);

/** A peer that fails is left out with its reason; the engine or the yardstick failing ends the run. */
async function attempt({ name, script }: Candidate, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!script.startsWith('peers/')) throw error;
    const why = error instanceof Error ? error.message : String(error);
    console.error(`${name} failed and is left out: ${why}`);
    leftOut.push({ name, why: `failed: ${why.split('\n')[0]}` });
  }
}

function isLeftOut({ name }: Candidate): boolean {
  return leftOut.some((entry) => entry.name === name);
}

function note(name: string, { description, cells, latencies }: Visit): void {
  const { url: _, ...shown } = description;
  const subject: SubjectResults = results.subjects[name] ?? {
    description: shown,
    cells: {},
    latencies: {},
    costs: costs.get(name) ?? null,
  };
  results.subjects[name] = subject;
  for (const [workload, cell] of Object.entries(cells)) push(subject.cells, workload, cell);
  for (const [workload, measured] of Object.entries(latencies)) {
    push(subject.latencies, workload, quantiles(measured));
  }
}

function push<T>(lists: Record<string, T[]>, name: string, value: T): void {
  lists[name] = [...(lists[name] ?? []), value];
}

function say(what: string): void {
  const seconds = Math.round((performance.now() - begun) / 1000);
  console.log(`${String(seconds).padStart(4)} s  ${what}`);
}
