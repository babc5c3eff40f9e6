/**
 * The figures of a run over all rounds, as they are stored, and the values computed from them.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Machine } from '../machine.ts';
import type { Cell } from '../measure.ts';
import type { Description } from '../subject/protocol.ts';
import type { Costs } from '../visit.ts';
import { quantile, type Spread, spread } from './statistics.ts';

export interface SubjectResults {
  readonly description: Omit<Description, 'url'>;
  /** By workload, one cell a round. */
  readonly cells: Record<string, Cell[]>;
  /** By workload, milliseconds, one pair a round. */
  readonly latencies: Record<string, { p50: number; p99: number; samples: number }[]>;
  /** Per step of a chain of 10 (raw pg-boss: per job); null for a peer without PostgreSQL. */
  readonly costs: Costs | null;
}

export interface Results {
  readonly date: string;
  readonly machine: Machine;
  readonly rounds: number;
  readonly cellSeconds: number;
  readonly server: Readonly<Record<string, string>>;
  readonly redis: string | null;
  readonly leftOut: { name: string; why: string }[];
  readonly subjects: Record<string, SubjectResults>;
}

export function rates(results: Results, subject: string, workload: string): number[] {
  return results.subjects[subject]?.cells[workload]?.map(({ rate }) => rate) ?? [];
}

export function rate(results: Results, subject: string, workload: string): Spread {
  return spread(rates(results, subject, workload));
}

/** Of the same rounds, round by round, so that a slow minute of the machine hits both sides. */
export function ratio(
  results: Results,
  [subject, workload]: readonly [string, string],
  [other, otherWorkload]: readonly [string, string],
): Spread {
  const above = rates(results, subject, workload);
  const below = rates(results, other, otherWorkload);
  return spread(above.slice(0, below.length).map((value, round) => value / below[round]!));
}

export function latency(results: Results, subject: string, workload: string, q: 'p50' | 'p99'): Spread {
  return spread(results.subjects[subject]?.latencies[workload]?.map((round) => round[q]) ?? []);
}

/** CPU milliseconds per step, process and server together. */
export function cpuPerStep(results: Results, subject: string, workload: string): Spread {
  const cells = results.subjects[subject]?.cells[workload] ?? [];
  return spread(
    cells.flatMap(({ processMs, serverMs }) =>
      processMs === null || serverMs === null ? [] : [processMs + serverMs],
    ),
  );
}

/** Cores that other work kept busy: the median and the worst cell. */
export function noise(results: Results): Spread {
  const cells = Object.values(results.subjects).flatMap(({ cells }) => Object.values(cells).flat());
  return spread(cells.flatMap(({ otherCores }) => (otherCores === null ? [] : [otherCores])));
}

export function quantiles(measured: readonly number[]): { p50: number; p99: number; samples: number } {
  return { p50: quantile(measured, 0.5), p99: quantile(measured, 0.99), samples: measured.length };
}

const RESULTS = join(import.meta.dirname, '..', 'results');

/** Writes `bench/results/<name>.json`; returns its path. */
export function store(name: string, results: unknown): string {
  mkdirSync(RESULTS, { recursive: true });
  const path = join(RESULTS, `${name}.json`);
  writeFileSync(path, `${JSON.stringify(results, null, 2)}\n`);
  return path;
}
