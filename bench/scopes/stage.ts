/**
 * Engines on a database of their own, and the runs of executions on them.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createPool, type Pool } from '../../db/connection/client.ts';
import { cpuMs } from '../cost.ts';
import { startOver } from '../subject/engine-client.ts';
import { engineEnv } from '../subject/engine-settings.ts';
import type { BenchServer } from '../subject/server.ts';
import { SubjectProcess } from '../subject/subject-process.ts';
import { untilIdle } from '../workloads.ts';

export interface Engines {
  readonly urls: readonly string[];
  readonly processes: readonly SubjectProcess[];
  readonly pool: Pool;
}

const SLEEP_STEP = `${import.meta.dirname}/../subject/sleep-step.ts`;

/** @param concurrency of each engine; null: as the engine is set everywhere else */
export async function withEngines<T>(
  server: BenchServer,
  setup: { readonly name: string; readonly engines: number; readonly concurrency: number | null },
  work: (engines: Engines) => Promise<T>,
): Promise<T> {
  const databaseUrl = await server.database(setup.name);
  await server.settle();
  const env = engineEnv(databaseUrl, {
    EXECUTION_ENGINE_STEPS: SLEEP_STEP,
    EXECUTION_ENGINE_HTTP_ALLOW: '127.0.0.1',
    ...(setup.concurrency === null ? {} : { EXECUTION_ENGINE_CONCURRENCY: String(setup.concurrency) }),
  });
  const pool = createPool(databaseUrl, { max: 1, applicationName: 'bench', statementTimeoutMs: 0 });
  const processes: SubjectProcess[] = [];
  try {
    const urls: string[] = [];
    for (let at = 0; at < setup.engines; at += 1) {
      const engine = new SubjectProcess({ script: 'engine-process.ts', env });
      processes.push(engine);
      urls.push((await engine.describe()).url!);
    }
    return await work({ urls, processes, pool });
  } finally {
    await Promise.all(processes.map((engine) => engine.stop()));
    await pool.end();
  }
}

/** The cost of something: by the clock, and of the processors of engines and server. */
export interface Cost {
  readonly ms: number;
  readonly cpuMs: number;
}

/** Measures from the call to the end of the last execution. */
export async function costOf(
  { processes, pool }: Engines,
  server: BenchServer,
  start: () => Promise<unknown>,
): Promise<Cost> {
  const cpu = () =>
    [server.pid, ...processes.map(({ pid }) => pid)].reduce((sum, pid) => sum + cpuMs(pid)!, 0);
  const cpuBefore = cpu();
  const begun = performance.now();
  await start();
  await Promise.race([untilIdle(pool), ...processes.map(({ gone }) => gone)]);
  return { ms: performance.now() - begun, cpuMs: cpu() - cpuBefore };
}

/** Starts an execution of a template over some items. Returns its id. */
export function startEach({ urls }: Engines, template: string, count: number): Promise<string> {
  return startOver(urls[0]!, JSON.stringify({ template, inputs: { count } }));
}

/** A peer that answers after some milliseconds and counts how many calls are there at a time. */
export async function countingPeer(afterMs: number) {
  let now = 0;
  let most = 0;
  const peer = createServer((_, response) => {
    now += 1;
    most = Math.max(most, now);
    setTimeout(() => {
      now -= 1;
      response.end('{}');
    }, afterMs);
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => peer.once('listening', resolve));
  return {
    url: `http://127.0.0.1:${(peer.address() as AddressInfo).port}/`,
    most: () => most,
    close: () => {
      peer.closeAllConnections();
      peer.close();
    },
  };
}
