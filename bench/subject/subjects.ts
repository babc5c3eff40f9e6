/**
 * The measured programs: this engine, raw pg-boss, and the peers; how each is started, and its workloads.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { engineEnv } from './engine-settings.ts';
import type { Workload } from './protocol.ts';
import type { BenchRedis } from './redis.ts';
import type { Launch } from './subject-process.ts';

export interface Candidate {
  readonly name: string;
  readonly script: string;
  readonly args?: readonly string[];
  /** In the order they run. */
  readonly workloads: readonly Workload[];
  /** Asked one after another on an idle engine. */
  readonly latencies: readonly Workload[];
  readonly store: 'postgres' | 'redis';
  /** The executions that statements and WAL are counted on: some seconds' worth. */
  readonly counted: readonly [Workload, number];
  /** The variable that names a file which its npm package does not bring. */
  readonly fileVariable?: string;
}

const GRAPHS = ['single', 'chain', 'fan'] as const;
const REAL = ['real-single', 'real-chain', 'real-fan', 'sandbox-chain'] as const;

export const ENGINE = 'engine';
export const REFERENCE = 'pg-boss';

const peer = (name: string, script: string, more: Partial<Candidate> = {}): Candidate => ({
  name,
  script: `../peers/${script}`,
  workloads: GRAPHS,
  latencies: ['single', 'chain'],
  store: 'postgres',
  counted: ['chain', 300],
  ...more,
});

export const CANDIDATES: readonly Candidate[] = [
  {
    name: REFERENCE,
    script: 'pg-boss-process.ts',
    workloads: ['lifecycle'],
    latencies: ['single'],
    store: 'postgres',
    counted: ['lifecycle', 20_000],
  },
  {
    name: ENGINE,
    script: 'engine-process.ts',
    workloads: [...GRAPHS, ...REAL],
    latencies: ['single', 'chain'],
    store: 'postgres',
    counted: ['chain', 3_000],
  },
  peer('dbos', 'dbos.ts'),
  peer('dbos-queue', 'dbos.ts', { args: ['queue'], latencies: [] }),
  peer('openworkflow', 'openworkflow.ts'),
  peer('pg-workflows', 'pg-workflows.ts'),
  peer('absurd', 'absurd.ts', { fileVariable: 'BENCH_ABSURD_SQL' }),
  peer('bullmq', 'bullmq.ts', { store: 'redis' }),
];

export interface Choice {
  readonly chosen: readonly Candidate[];
  readonly leftOut: { name: string; why: string }[];
}

/** @param only names, or empty for all that this machine can run */
export function choose(only: readonly string[], hasRedis: boolean): Choice {
  const unknown = only.filter((name) => !CANDIDATES.some((candidate) => candidate.name === name));
  if (unknown.length > 0) {
    const known = CANDIDATES.map(({ name }) => name).join(', ');
    throw new Error(`BENCH_ONLY names ${unknown.join(', ')}; known are ${known}`);
  }
  const leftOut: Choice['leftOut'] = [];
  const chosen = CANDIDATES.filter((candidate) => {
    const why = whyNot(candidate, only, hasRedis);
    if (why !== null) leftOut.push({ name: candidate.name, why });
    return why === null;
  });
  return { chosen, leftOut };
}

function whyNot(
  { name, store, fileVariable }: Candidate,
  only: readonly string[],
  hasRedis: boolean,
): string | null {
  if (only.length > 0 && !only.includes(name)) return 'not in BENCH_ONLY';
  const file = fileVariable === undefined ? null : (process.env[fileVariable] ?? '');
  if (file !== null && !existsSync(file)) return `${fileVariable} names no file that is there`;
  return store === 'redis' && !hasRedis ? 'no redis-server on the path' : null;
}

/** Environment of a measured process. */
export function launchOf(candidate: Candidate, databaseUrl: string, redis: BenchRedis | null): Launch {
  const { script, args = [] } = candidate;
  return {
    script,
    args,
    env: {
      ...engineEnv(databaseUrl),
      NODE_ENV: 'production',
      ...(redis === null ? {} : { REDIS_PORT: String(redis.port) }),
    },
  };
}

/** Installs the peers' own package as its lock file says, on first use. Throws when npm fails. */
export function installPeers(): void {
  const folder = fileURLToPath(new URL('../peers', import.meta.url));
  if (existsSync(`${folder}/node_modules/.package-lock.json`)) return;
  console.log('Installing the peers (npm ci in bench/peers) …');
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--ignore-scripts'], {
    cwd: folder,
    stdio: 'inherit',
  });
  if (status !== 0) throw new Error('The peers could not be installed: npm ci failed in bench/peers');
}
