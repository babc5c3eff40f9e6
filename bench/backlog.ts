/**
 * `bun run bench:backlog`: compares the engine's speed with a long line of executions, or with full tables, to that
 * with a short line and empty tables: single steps and chains of 10, with 1,000 and with 200,000 executions queued,
 * with the planner's statistics as autovacuum leaves them and as they are right after a burst (taken when the tables
 * were empty), and with 1,000,000 completed steps in the tables. The ratios are to be 0.9 or more.
 *
 * The drain is measured, not the start: the line exists before the engine, and is kept at its length in SQL by as many
 * rows as the engine takes, in all setups alike. Steps are counted afterwards, in the rows. Every cell has a database
 * of its own; setups alternate, and ratios are of one round.
 *
 * BENCH_ROUNDS (3), BENCH_CELL_SECONDS (5), BENCH_BACKLOG_SHORT (1,000), BENCH_BACKLOG_LONG (200,000),
 * BENCH_BACKLOG_COMPLETED (1,000,000 steps). About ten minutes and 5 GB of disc.
 */
import { createPool, type Pool } from '../db/connection/client.ts';
import { Backlog, copyEnded, freezeStatistics, refreshStatistics } from './backlog-tables.ts';
import { describeMachine, resultName } from './machine.ts';
import { measureCell } from './measure.ts';
import { store } from './report/results.ts';
import { markdownTable, show, showSpread, spread } from './report/statistics.ts';
import { numberSetting } from './settings.ts';
import { publishOver, startOver, untilCompleted } from './subject/engine-client.ts';
import { engineEnv } from './subject/engine-settings.ts';
import { startBenchServer, stopOnSignal } from './subject/server.ts';
import { SubjectProcess } from './subject/subject-process.ts';
import { chain, single } from './workloads.ts';

const rounds = numberSetting('BENCH_ROUNDS', 3);
const cellSeconds = numberSetting('BENCH_CELL_SECONDS', 5);
const short = numberSetting('BENCH_BACKLOG_SHORT', 1_000);
const long = numberSetting('BENCH_BACKLOG_LONG', 200_000);
const completedSteps = numberSetting('BENCH_BACKLOG_COMPLETED', 1_000_000);

const WARM_SECONDS = 2;
/** The line is refilled before it is shorter than it should be: at 20,000 executions a second it loses 500. */
const REFILL_MS = 25;
const REFILL_MARGIN = 1_000;
/** The share of the wanted length; with a shorter line the cell would not be the one that its name says. */
const SHORTEST = 0.9;
const WANTED = 0.9;
const EMPTY = 'backlog-empty';
const FULL = 'backlog-full';
const WORKLOADS = { single, chain } as const;
type Name = keyof typeof WORKLOADS;

interface Setup {
  readonly name: string;
  readonly queued: number;
  /** The database that the cell's is a copy of. */
  readonly from: typeof EMPTY | typeof FULL;
  /** Statistics of the tables as they are; otherwise those of the time when they were empty. */
  readonly analysed: boolean;
}

const count = (value: number) => value.toLocaleString('en');
const SETUPS: readonly Setup[] = [
  { name: `${count(short)} queued`, queued: short, from: EMPTY, analysed: true },
  { name: `${count(long)} queued`, queued: long, from: EMPTY, analysed: true },
  { name: `${count(long)} queued, statistics of empty tables`, queued: long, from: EMPTY, analysed: false },
  { name: `${count(completedSteps)} steps completed`, queued: short, from: FULL, analysed: true },
  {
    name: `${count(completedSteps)} steps completed, statistics of empty tables`,
    queued: short,
    from: FULL,
    analysed: false,
  },
];

interface Cell {
  readonly setup: string;
  readonly workload: Name;
  readonly round: number;
  /** Steps per second. */
  readonly rate: number;
  /** The shortest that the line was found. */
  readonly lowest: number;
  /** Cores that other work of this machine kept busy meanwhile: the measure of how quiet it was. */
  readonly otherCores: number | null;
}

const server = await startBenchServer();
stopOnSignal(server.stop);
const cells: Cell[] = [];
let settings = '';
try {
  await makeTemplates();
  for (let round = 0; round < rounds; round++) {
    for (const workload of Object.keys(WORKLOADS) as Name[]) {
      for (const setup of round % 2 === 0 ? SETUPS : SETUPS.toReversed()) {
        const cell = await measure(setup, workload, round);
        cells.push(cell);
        console.log(
          `round ${round + 1} of ${rounds}: ${workload}, ${setup.name}: ${Math.round(cell.rate)} steps/s (shortest line ${cell.lowest})`,
        );
      }
    }
  }
} finally {
  await server.stop();
}
print();
process.exit(0);

/** One database with the engine's tables, empty, and one where many executions have ended. */
async function makeTemplates(): Promise<void> {
  const emptyUrl = await server.database(EMPTY);
  await withEngine(emptyUrl, async (url) => {
    for (const workload of Object.values(WORKLOADS)) await publishOver(url, workload);
  });
  await withPool(emptyUrl, freezeStatistics);
  const fullUrl = await copyDatabase(EMPTY, FULL);
  await withEngine(fullUrl, async (url) => {
    const template = await publishOver(url, chain);
    await untilCompleted(url, await startOver(url, JSON.stringify({ template })));
  });
  console.log(`Writing ${count(completedSteps)} completed steps …`);
  await withPool(fullUrl, (pool) => copyEnded(pool, Math.ceil(completedSteps / chain.stepCount)));
}

async function measure(setup: Setup, workload: Name, round: number): Promise<Cell> {
  const database = 'backlog-cell';
  const databaseUrl = await copyDatabase(setup.from, database);
  const { definition } = WORKLOADS[workload];
  try {
    return await withPool(databaseUrl, async (pool) => {
      const backlog = new Backlog(pool, (definition as { name: string }).name);
      await backlog.fill(setup.queued + REFILL_MARGIN);
      if (setup.analysed) await refreshStatistics(pool);
      await server.settle();
      const { from, to, otherCores } = await withEngine(databaseUrl, async (_url, pid) => {
        await keepUp(backlog, setup.queued, WARM_SECONDS);
        const from = await clock(pool);
        const { otherCores } = await measureCell(
          workload,
          1,
          { process: pid, server: server.pid },
          async () => {
            await keepUp(backlog, setup.queued, cellSeconds);
            return { seconds: cellSeconds };
          },
        );
        return { from, to: await clock(pool), otherCores };
      });
      const steps = await completedBetween(pool, from, to);
      const rate = steps / ((Date.parse(to) - Date.parse(from)) / 1000);
      return { setup: setup.name, workload, round, rate, lowest: backlog.lowest, otherCores };
    });
  } finally {
    await server.admin.query(`drop database if exists "${database}" with (force)`);
  }
}

async function keepUp(backlog: Backlog, queued: number, seconds: number): Promise<void> {
  const deadline = performance.now() + seconds * 1000;
  while (performance.now() < deadline) {
    await backlog.fill(queued + REFILL_MARGIN);
    await new Promise((resolve) => setTimeout(resolve, REFILL_MS));
  }
}

async function clock(pool: Pool): Promise<string> {
  const { rows } = await pool.query('select clock_timestamp() as now');
  return new Date(rows[0].now).toISOString();
}

async function completedBetween(pool: Pool, from: string, to: string): Promise<number> {
  const { rows } = await pool.query(
    `select count(*)::integer as steps from workflow_step_executions
      where status = 'completed' and completed_at >= $1 and completed_at < $2`,
    [from, to],
  );
  return rows[0].steps;
}

async function withEngine<T>(
  databaseUrl: string,
  work: (url: string, pid: number) => Promise<T>,
): Promise<T> {
  const engine = new SubjectProcess({ script: 'engine-process.ts', env: engineEnv(databaseUrl) });
  try {
    const description = await engine.describe();
    settings = description.settings;
    return await Promise.race([work(description.url!, engine.pid), engine.gone]);
  } finally {
    await engine.stop();
  }
}

async function withPool<T>(databaseUrl: string, work: (pool: Pool) => Promise<T>): Promise<T> {
  const pool = createPool(databaseUrl, { max: 1, applicationName: 'bench', statementTimeoutMs: 0 });
  try {
    return await work(pool);
  } finally {
    await pool.end();
  }
}

async function copyDatabase(from: string, to: string): Promise<string> {
  await server.admin.query(`create database "${to}" template "${from}"`);
  return server.database(to);
}

function ratesOf({ name }: Setup, workload: Name): number[] {
  return cells
    .filter((cell) => cell.setup === name && cell.workload === workload)
    .toSorted((a, b) => a.round - b.round)
    .map(({ rate }) => rate);
}

function print(): void {
  const names = Object.keys(WORKLOADS) as Name[];
  const ratio = (setup: Setup, workload: Name) => {
    const below = ratesOf(SETUPS[0]!, workload);
    return spread(ratesOf(setup, workload).map((rate, round) => rate / below[round]!));
  };
  const rows = SETUPS.map((setup) => [
    setup.name,
    ...names.map((workload) => showSpread(spread(ratesOf(setup, workload)))),
    ...names.map((workload) => showSpread(ratio(setup, workload))),
  ]);
  const titles = names.map((workload) => `${WORKLOADS[workload].name}, steps per second`);
  const ratios = names.map((workload) => `${WORKLOADS[workload].name}, of the first row`);
  console.log(`\nEngine: ${settings}\n\n${markdownTable(['tables', ...titles, ...ratios], rows)}`);
  const low = SETUPS.flatMap((setup) =>
    names
      .filter((workload) => ratio(setup, workload).median < WANTED)
      .map((name) => `${setup.name}: ${name}`),
  );
  console.log(`\nBelow ${WANTED} (wanted: none): ${low.join('; ') || 'none'}`);
  const ranShort = cells.filter(
    ({ setup, lowest }) => lowest < SHORTEST * SETUPS.find(({ name }) => name === setup)!.queued,
  );
  if (ranShort.length > 0) {
    console.log(
      `The line ran short in ${ranShort.length} of ${cells.length} cells: the engine took faster than it was filled.`,
    );
  }
  const noise = spread(cells.flatMap(({ otherCores }) => (otherCores === null ? [] : [otherCores])));
  console.log(`Other programs used ${show(noise.median)} cores (worst cell: ${show(noise.high)}).`);
  const machine = describeMachine();
  const path = store(resultName('backlog-', machine), {
    machine,
    server: server.settings,
    settings,
    rounds,
    cellSeconds,
    setups: SETUPS,
    cells,
    ratios: Object.fromEntries(
      SETUPS.map((setup) => [
        setup.name,
        Object.fromEntries(names.map((name) => [name, ratio(setup, name)])),
      ]),
    ),
  });
  console.log(`Stored in ${path}`);
}
