/**
 * `bun run bench:memory`: how much memory an engine process holds while it works off many executions that were
 * started over HTTP in calls of 1,000, and what it still holds afterwards.
 *
 * Chains of 10 with 1 KB in and out of every step. The client does not keep the answers. The memory is read from
 * outside, every half second; the last value is read after the process was idle for a while, because the runtime gives
 * memory back late. The memory that a forced collection would free is printed beside it and not judged.
 *
 * BENCH_MEMORY_EXECUTIONS (100,000), BENCH_MEMORY_WARM (2,000 executions before the start is read),
 * BENCH_MEMORY_IDLE (30: seconds before the start and the end are read).
 */
import { createPool } from '../db/connection/client.ts';
import { describeMachine, resultName } from './machine.ts';
import { store } from './report/results.ts';
import { markdownTable, show } from './report/statistics.ts';
import { type MemorySample, MemoryWatch } from './resident-memory.ts';
import { numberSetting } from './settings.ts';
import { publishOver, startManyOver } from './subject/engine-client.ts';
import { engineEnv } from './subject/engine-settings.ts';
import { startBenchServer, stopOnSignal } from './subject/server.ts';
import { SubjectProcess } from './subject/subject-process.ts';
import { untilIdle, WORKLOADS } from './workloads.ts';

const executions = numberSetting('BENCH_MEMORY_EXECUTIONS', 100_000);
const warmExecutions = numberSetting('BENCH_MEMORY_WARM', 2_000);
const idleSeconds = numberSetting('BENCH_MEMORY_IDLE', 30);
const workload = WORKLOADS['real-chain'];
const GOAL_MAX_MB = 300;
const GOAL_KEPT_MB = 50;

const server = await startBenchServer();
stopOnSignal(server.stop);
const databaseUrl = await server.database('engine');
const engine = new SubjectProcess({ script: 'engine-process.ts', env: engineEnv(databaseUrl) });
const pool = createPool(databaseUrl, { max: 1, applicationName: 'bench', statementTimeoutMs: 0 });
const watch = new MemoryWatch(engine.pid);

interface Moments {
  readonly ready: MemorySample;
  readonly warm: MemorySample;
  /** After the idle time that follows the warm-up: the base for the last value. */
  readonly start: MemorySample;
  readonly allStarted: MemorySample;
  readonly allEnded: MemorySample;
  readonly end: MemorySample;
  readonly collected: MemorySample;
}

let measured: Awaited<ReturnType<typeof measure>>;
try {
  measured = await measure();
} finally {
  watch.stop();
  await engine.stop();
  await pool.end();
  await server.stop();
}
print(measured.moments, measured.settings, measured.seconds);
process.exit(0);

async function measure(): Promise<{ moments: Moments; settings: string; seconds: number }> {
  const { url, settings } = await engine.describe();
  const ready = watch.read();
  const template = await publishOver(url!, workload);
  await startManyOver([url!], template, workload, warmExecutions);
  await Promise.race([untilIdle(pool), engine.gone]);
  const warm = watch.read();
  await idle();
  const start = watch.read();
  const begun = performance.now();
  await startManyOver([url!], template, workload, executions);
  const allStarted = watch.read();
  console.log(`${executions} executions started in ${show((performance.now() - begun) / 1000)} s`);
  await Promise.race([untilIdle(pool), engine.gone]);
  const allEnded = watch.read();
  const seconds = (performance.now() - begun) / 1000;
  await idle();
  const end = watch.read();
  await engine.collect();
  const collected = watch.read();
  return {
    moments: { ready, warm, start, allStarted, allEnded, end, collected },
    settings,
    seconds,
  };
}

function idle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, idleSeconds * 1000));
}

function print(moments: Moments, settings: string, seconds: number): void {
  const { start, end } = moments;
  const during = watch.samples.filter(({ at }) => at >= start.at && at <= moments.allEnded.at);
  const highest = during.reduce((most, sample) => (sample.mb > most.mb ? sample : most));
  const steps = executions * workload.stepCount;
  console.log(
    `\n${executions.toLocaleString('en')} executions of ${workload.stepCount} steps with 1 KB in and out, in ` +
      `${show(seconds)} s (${show(steps / seconds)} steps per second)\nEngine: ${settings}\n`,
  );
  const row = (name: string, { mb, anonymousMb, at }: MemorySample) => [
    name,
    show(at),
    show(mb),
    show(anonymousMb ?? Number.NaN),
  ];
  console.log(
    markdownTable(
      ['moment', 'second', 'resident, MB', 'of it not of files, MB'],
      [
        row('ready', moments.ready),
        row(`after ${warmExecutions} executions`, moments.warm),
        row(`start: idle for ${idleSeconds} s`, start),
        row('all started', moments.allStarted),
        row('all ended', moments.allEnded),
        row('highest', highest),
        row(`end: idle for ${idleSeconds} s`, end),
        row('after a forced collection', moments.collected),
      ],
    ),
  );
  const kept = end.mb - start.mb;
  console.log(
    `\nHighest: ${show(highest.mb)} MB (wanted: below ${GOAL_MAX_MB}). ` +
      `End over start: ${show(kept)} MB (wanted: ${GOAL_KEPT_MB} or less).`,
  );
  const machine = describeMachine();
  const path = store(resultName('memory-', machine), {
    machine,
    server: server.settings,
    settings,
    executions,
    seconds,
    moments,
    highest,
    keptMb: kept,
    reached: { highest: highest.mb < GOAL_MAX_MB, kept: kept <= GOAL_KEPT_MB },
    samples: watch.samples,
  });
  console.log(`Stored in ${path}`);
}
