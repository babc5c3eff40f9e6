/**
 * One visit: a process is started, warmed, measured on its workloads, asked for its latencies, and ended, so that no
 * poller of one runs while another is measured.
 */
import { createPool } from '../db/connection/client.ts';
import { beyond, type Counters, perUnit, readCounters, walBytes } from './cost.ts';
import { type Cell, measureCell, type Pids, type Sizes, STEPS } from './measure.ts';
import { publishOver, startManyOver, startOver, untilCompleted } from './subject/engine-client.ts';
import { type Description, type Ran, sample, type Workload } from './subject/protocol.ts';
import type { BenchRedis } from './subject/redis.ts';
import type { BenchServer } from './subject/server.ts';
import { SubjectProcess } from './subject/subject-process.ts';
import { type Candidate, ENGINE, launchOf } from './subject/subjects.ts';
import { untilIdle, WORKLOADS } from './workloads.ts';

export interface Stage {
  readonly server: BenchServer;
  readonly redis: BenchRedis | null;
  readonly sizes: Sizes;
  readonly latencySamples: number;
  readonly latencySeconds: number;
}

export interface Visit {
  readonly description: Description;
  /** By workload; of the engine also by `<workload> over HTTP`. */
  readonly cells: Readonly<Record<string, Cell>>;
  /** Milliseconds, by workload. */
  readonly latencies: Readonly<Record<string, readonly number[]>>;
}

const OVER_HTTP = ['single', 'chain', 'fan'] as const;

export const overHttp = (workload: string) => `${workload} over HTTP`;

export async function visit(stage: Stage, candidate: Candidate): Promise<Visit> {
  const databaseUrl = await stage.server.database(candidate.name);
  await stage.server.settle();
  const subject = new SubjectProcess(launchOf(candidate, databaseUrl, stage.redis));
  try {
    const description = await subject.describe();
    const cells: Record<string, Cell> = {};
    const pids = pidsOf(stage, candidate, subject);
    for (const workload of candidate.workloads) {
      const run = (executions: number) => subject.run(workload, executions);
      cells[workload] = await cell(stage, candidate, workload, workload, pids, run);
    }
    if (candidate.name === ENGINE) {
      Object.assign(cells, await cellsOverHttp(stage, candidate, description.url!, databaseUrl, pids));
    }
    // The database finishes its clean-up after the load first, since that is not part of a step's latency.
    await stage.server.settle();
    return { description, cells, latencies: await latencies(stage, candidate, subject, description) };
  } finally {
    await subject.stop();
  }
}

function pidsOf({ server, redis }: Stage, candidate: Candidate, subject: SubjectProcess): Pids {
  return { process: subject.pid, server: candidate.store === 'redis' ? redis!.pid : server.pid };
}

async function cell(
  { sizes }: Stage,
  candidate: Candidate,
  workload: Workload,
  name: string,
  pids: Pids,
  run: (executions: number) => Promise<Ran>,
): Promise<Cell> {
  const key = `${candidate.name} ${name}`;
  await sizes.warm(key, workload, run);
  const measured = await measureCell(workload, sizes.of(key), pids, run);
  sizes.learn(key, measured.executions / measured.seconds);
  return measured;
}

/** The client is this process: its work is part of what is measured, as it would be on one machine. */
async function cellsOverHttp(
  stage: Stage,
  candidate: Candidate,
  url: string,
  databaseUrl: string,
  pids: Pids,
): Promise<Record<string, Cell>> {
  const pool = createPool(databaseUrl, { max: 1, applicationName: 'bench' });
  const cells: Record<string, Cell> = {};
  try {
    for (const name of OVER_HTTP) {
      const workload = WORKLOADS[name];
      const template = await publishOver(url, workload);
      const run = async (executions: number) => {
        const begun = performance.now();
        await startManyOver([url], template, workload, executions);
        await untilIdle(pool);
        return { seconds: (performance.now() - begun) / 1000 };
      };
      cells[overHttp(name)] = await cell(stage, candidate, name, overHttp(name), pids, run);
    }
  } finally {
    await pool.end();
  }
  return cells;
}

async function latencies(
  { latencySamples, latencySeconds }: Stage,
  { name, latencies: asked }: Candidate,
  subject: SubjectProcess,
  { url }: Description,
): Promise<Record<string, number[]>> {
  const measured: Record<string, number[]> = {};
  for (const workload of asked) {
    measured[workload] =
      name === ENGINE
        ? await latenciesOverHttp(url!, workload as 'single' | 'chain', latencySamples, latencySeconds)
        : await subject.latency(workload, latencySamples, latencySeconds);
  }
  return measured;
}

async function latenciesOverHttp(
  url: string,
  workload: 'single' | 'chain',
  samples: number,
  seconds: number,
): Promise<number[]> {
  const body = JSON.stringify({ template: await publishOver(url, WORKLOADS[workload]) });
  const once = async () => untilCompleted(url, await startOver(url, body));
  await sample(once, samples / 10, seconds);
  return sample(once, samples, seconds);
}

export interface Costs extends Counters {
  readonly walBytes: number;
}

/**
 * The counters of PostgreSQL per step. Starting and stopping costs statements too, so the process is started twice: the
 * difference of the second, longer life and the first is the cost of the work.
 */
export async function countCosts(stage: Stage, candidate: Candidate): Promise<Costs> {
  const { server } = stage;
  const [workload, executions] = candidate.counted;
  const units = executions * STEPS[workload];
  await server.database(candidate.name);
  // Its very first life makes its tables.
  await countedLife(stage, candidate, 0);
  await server.count(candidate.name, true);
  try {
    const short = await countedLife(stage, candidate, 0);
    const long = await countedLife(stage, candidate, executions);
    return { ...perUnit(beyond(long.counters, short.counters), units), walBytes: long.walBytes / units };
  } finally {
    await server.count(candidate.name, false);
  }
}

const A_FEW = 20;

async function countedLife(
  { server, redis }: Stage,
  candidate: Candidate,
  executions: number,
): Promise<{ counters: Counters; walBytes: number }> {
  const { name } = candidate;
  const [workload] = candidate.counted;
  const databaseUrl = await server.database(name);
  const before = await readCounters(server.admin, name);
  const subject = new SubjectProcess(launchOf(candidate, databaseUrl, redis));
  let observed = 0;
  let written = 0;
  try {
    observed += (await subject.run(workload, A_FEW)).observed ?? 0;
    const walBefore = await walBytes(server.admin);
    if (executions > 0) observed += (await subject.run(workload, executions)).observed ?? 0;
    written = (await walBytes(server.admin)) - walBefore;
  } finally {
    await subject.stop();
  }
  const counters = beyond(await readCounters(server.admin, name), before);
  return { counters: { ...counters, transactions: counters.transactions - observed }, walBytes: written };
}
