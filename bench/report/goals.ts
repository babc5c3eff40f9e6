/**
 * The goals of the engine beside its peers, and whether a run reaches them.
 */

import { CANDIDATES, ENGINE, REFERENCE } from '../subject/subjects.ts';
import { overHttp } from '../visit.ts';
import { cpuPerStep, latency, type Results, rate, ratio } from './results.ts';

export interface Goal {
  readonly goal: string;
  readonly wanted: string;
  /** NaN when a side of it was not measured. */
  readonly measured: number;
  readonly reached: boolean;
}

type Graph = 'single' | 'chain' | 'fan';

/** Times raw pg-boss's lifecycle, times the best durable peer on PostgreSQL, times BullMQ. */
const RATES: Readonly<Record<Graph, readonly [number, number, number]>> = {
  chain: [1.5, 25, 8],
  fan: [1, 15, 5],
  single: [0.6, 12, 3],
};

export function goals(results: Results): Goal[] {
  if (results.subjects[ENGINE] === undefined) return [];
  return [...rateGoals(results), ...realGoals(results), ...latencyGoals(results), ...costGoals(results)];
}

function durablePeers({ subjects }: Results): string[] {
  return CANDIDATES.filter(({ script, store }) => script.startsWith('peers/') && store === 'postgres')
    .map(({ name }) => name)
    .filter((name) => name in subjects);
}

/** A single step's start is most of its cost, so there the figure over HTTP counts. */
function headline(graph: Graph): string {
  return graph === 'single' ? overHttp(graph) : graph;
}

function rateGoals(results: Results): Goal[] {
  return (Object.keys(RATES) as Graph[]).flatMap((graph) => {
    const [lifecycle, peer, bullmq] = RATES[graph];
    const times = (name: string, workload: string) =>
      ratio(results, [ENGINE, headline(graph)], [name, workload]).median;
    const best = durablePeers(results).toSorted(
      (a, b) => rate(results, b, graph).median - rate(results, a, graph).median,
    )[0];
    return [
      atLeast(`${graph}: times the lifecycle`, lifecycle, times(REFERENCE, 'lifecycle')),
      atLeast(
        `${graph}: times the best durable peer (${best ?? 'none'})`,
        peer,
        best === undefined ? Number.NaN : times(best, graph),
      ),
      atLeast(`${graph}: times BullMQ`, bullmq, times('bullmq', graph)),
    ];
  });
}

function realGoals(results: Results): Goal[] {
  return (['single', 'chain', 'fan'] as const).map((graph) =>
    atLeast(
      `${graph} with real bodies, of the rate with empty ones`,
      0.7,
      ratio(results, [ENGINE, `real-${graph}`], [ENGINE, graph]).median,
    ),
  );
}

function latencyGoals(results: Results): Goal[] {
  const of = (name: string, workload: Graph, q: 'p50' | 'p99') => latency(results, name, workload, q).median;
  return (
    [
      ['single', 'p50'],
      ['single', 'p99'],
      ['chain', 'p50'],
    ] as const
  ).map(([workload, q]) =>
    atMost(`${workload} idle ${q}, ms, not above dbos's`, of('dbos', workload, q), of(ENGINE, workload, q)),
  );
}

function costGoals(results: Results): Goal[] {
  const own = results.subjects[ENGINE]!.costs;
  const peers = durablePeers(results).flatMap((name) => {
    const { costs } = results.subjects[name]!;
    return costs === null ? [] : [{ name, costs }];
  });
  const lowest = (field: 'statements' | 'transactions' | 'fsyncs') =>
    Math.min(...peers.map(({ costs }) => costs[field]));
  const counted = (['statements', 'transactions', 'fsyncs'] as const).map((field) =>
    atMost(`${field} per step, below every peer's`, lowest(field), own?.[field] ?? Number.NaN),
  );
  const dbosWal = results.subjects.dbos?.costs?.walBytes ?? Number.NaN;
  return [
    ...counted,
    atMost("WAL bytes per step, not above dbos's", dbosWal, own?.walBytes ?? Number.NaN),
    atMost('CPU-ms per step on chain of 10', 0.1, cpuPerStep(results, ENGINE, 'chain').median),
  ];
}

function atLeast(goal: string, wanted: number, measured: number): Goal {
  return { goal, wanted: `at least ${wanted}`, measured, reached: measured >= wanted };
}

function atMost(goal: string, wanted: number, measured: number): Goal {
  const isKnown = Number.isFinite(wanted);
  const limit = isKnown ? `at most ${Number(wanted.toPrecision(3))}` : 'not measured';
  return { goal, wanted: limit, measured: isKnown ? measured : Number.NaN, reached: measured <= wanted };
}
