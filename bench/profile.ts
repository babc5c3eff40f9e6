/**
 * `bun run bench:profile`: the parts of the time of a step: the statements and their time, WAL, and the CPU of the
 * engine and of PostgreSQL, for each of the three graphs.
 *
 * BENCH_PROFILE (comma list of workloads: single,chain,fan), BENCH_SECONDS (3). Counting statements costs a few
 * per cent itself: the rates here are not for comparison.
 */
import { walBytes } from './cost.ts';
import { describeMachine, resultName } from './machine.ts';
import { type Cell, measureCell, Sizes, STEPS } from './measure.ts';
import { store } from './report/results.ts';
import { markdownTable, show } from './report/statistics.ts';
import { numberSetting } from './settings.ts';
import { engineEnv } from './subject/engine-settings.ts';
import { OBSERVED } from './subject/protocol.ts';
import { startBenchServer, stopOnSignal } from './subject/server.ts';
import { SubjectProcess } from './subject/subject-process.ts';
import { WORKLOADS } from './workloads.ts';

interface StatementRow {
  readonly text: string;
  readonly calls: number;
  readonly ms: number;
  readonly rows: number;
  readonly walBytes: number;
  readonly blocksRead: number;
}

interface Profile {
  readonly workload: string;
  readonly cell: Cell;
  readonly walBytesPerStep: number;
  readonly statements: readonly StatementRow[];
}

const DATABASE = 'engine';
const SHOWN = 24;
const seconds = numberSetting('BENCH_SECONDS', 3);
const wanted = (process.env.BENCH_PROFILE ?? 'single,chain,fan').split(',') as (keyof typeof WORKLOADS)[];

const server = await startBenchServer();
stopOnSignal(server.stop);
const databaseUrl = await server.database(DATABASE);
await server.count(DATABASE, true);
const engine = new SubjectProcess({
  script: 'engine-process.ts',
  env: engineEnv(databaseUrl),
});
const profiles: Profile[] = [];
let settings = '';
try {
  settings = (await engine.describe()).settings;
  const sizes = new Sizes(seconds);
  for (const workload of wanted) profiles.push(await profile(workload, sizes));
} finally {
  await engine.stop();
  await server.stop();
}
const machine = describeMachine();
console.log(`\nEngine: ${settings}`);
for (const found of profiles) print(found);
const path = store(resultName('profile-', machine), { machine, server: server.settings, settings, profiles });
console.log(`\nStored in ${path}`);
process.exit(0);

async function profile(workload: keyof typeof WORKLOADS, sizes: Sizes): Promise<Profile> {
  if (!(workload in WORKLOADS) || workload === 'sleep')
    throw new Error(`BENCH_PROFILE names ${workload}; known are ${Object.keys(WORKLOADS).join(', ')}`);
  const run = (executions: number) => engine.run(workload, executions);
  await sizes.warm(workload, workload, run);
  await server.settle();
  await server.admin.query('select pg_stat_statements_reset()');
  const before = await walBytes(server.admin);
  const pids = { process: engine.pid, server: server.pid };
  const cell = await measureCell(workload, sizes.of(workload), pids, run);
  const steps = cell.executions * STEPS[workload];
  return {
    workload,
    cell,
    walBytesPerStep: ((await walBytes(server.admin)) - before) / steps,
    statements: await statements(),
  };
}

async function statements(): Promise<StatementRow[]> {
  const { rows } = await server.admin.query<StatementRow>(
    `select regexp_replace(s.query, '\\s+', ' ', 'g') as text, s.calls::float8 as calls, s.total_exec_time as ms,
            s.rows::float8 as rows, s.wal_bytes::float8 as "walBytes", s.shared_blks_read::float8 as "blocksRead"
     from pg_stat_statements s join pg_database d on d.oid = s.dbid
     where d.datname = $1 and s.toplevel and position('${OBSERVED}' in s.query) = 0
     order by s.total_exec_time desc`,
    [DATABASE],
  );
  return rows;
}

function print({ workload, cell, walBytesPerStep, statements }: Profile): void {
  const steps = cell.executions * STEPS[workload as keyof typeof STEPS];
  const cpu = (ms: number | null) => (ms === null ? '-' : `${show(ms * 1000)} µs`);
  const calls = statements.reduce((sum, statement) => sum + statement.calls, 0);
  console.log(
    `\n## ${workload}: ${show(cell.rate)} steps/s over ${show(cell.seconds)} s\n\n` +
      `Per step: engine ${cpu(cell.processMs)} CPU, PostgreSQL ${cpu(cell.serverMs)} CPU, ` +
      `${show(walBytesPerStep)} B of WAL, ${show(calls / steps)} statements; others used ${show(cell.otherCores ?? Number.NaN)} cores.\n`,
  );
  const rows = statements
    .slice(0, SHOWN)
    .map(({ text, calls, ms, rows, walBytes }) => [
      `\`${text.slice(0, 90).replaceAll('|', '\\|').replaceAll('`', "'")}\``,
      show(calls),
      show(rows / calls),
      show(ms),
      show((ms * 1000) / steps),
      show(ms / calls),
      show(walBytes / steps),
    ]);
  console.log(
    markdownTable(
      ['statement', 'calls', 'rows a call', 'ms', 'µs a step', 'ms a call', 'WAL B a step'],
      rows,
    ),
  );
}
