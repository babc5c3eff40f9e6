/**
 * A run as Markdown: machine, rates, latencies, ratios, costs, settings, goals.
 */

import { ENGINE, REFERENCE } from '../subject/subjects.ts';
import { overHttp } from '../visit.ts';
import { goals } from './goals.ts';
import { cpuPerStep, latency, noise, type Results, rate, ratio } from './results.ts';
import { markdownTable, show, showSpread } from './statistics.ts';

const GRAPHS = ['single', 'chain', 'fan'] as const;
const TITLES = { single: 'single', chain: 'chain of 10', fan: 'fan-out 1→100→1' } as const;

const METHOD = `How it is measured: \`BENCH_PUBLISH=1 npm run bench:peers\` on a machine that does nothing else. Everybody runs
in a process and a database of their own, alone, on the same server; a process is started and warmed anew in every
round, and the order is turned round in every other one. Handlers do nothing and return a tiny JSON; a workload is sized
so that everybody works equally long. Time runs from the first start to the last end that the caller can see. Rates are
steps a user would name (a fan-out has 102). Ratios are of the same round, then the median. Peers are started in process,
as they offer it; the engine both ways, and its latency over HTTP only. Statements and WAL are counted apart from the
rates, in two lives of a process, so that starting and stopping does not count.

What it does not show: a network between client, engine and database (the more statements a step takes, the more that
costs); handlers that work; several machines; memory; a database that is short of disc. BullMQ on Redis may lose the last
second of work in a power cut, everybody else here loses nothing that was answered.`;

export function report(results: Results): string {
  const sections = [head(results), rateTable(results), realTable(results), ratioTable(results)];
  sections.push(latencyTable(results), costTable(results), goalTable(results), settings(results), METHOD);
  return sections.filter((section) => section !== '').join('\n\n');
}

function peers({ subjects }: Results): string[] {
  return Object.keys(subjects).filter((name) => name !== ENGINE && name !== REFERENCE);
}

function head(results: Results): string {
  const { machine, server, rounds, cellSeconds, redis, date } = results;
  const quiet = noise(results);
  return [
    `Measured ${date.slice(0, 10)} at commit ${machine.commit}: ${machine.cores} cores of ${machine.cpu}, ` +
      `${machine.memoryGiB} GiB, ${machine.kernel}. Median of ${rounds} interleaved rounds [lowest–highest]; ` +
      `a cell takes about ${cellSeconds} s. PostgreSQL ${server.server_version}: fsync ${server.fsync}, ` +
      `synchronous_commit ${server.synchronous_commit}, wal_sync_method ${server.wal_sync_method}, ` +
      `shared_buffers ${server.shared_buffers}, max_connections ${server.max_connections}. ` +
      `Redis ${redis ?? 'not found'}. Client, process and database share the machine. ` +
      `Other programs used ${show(quiet.median)} of ${machine.cores} cores (worst cell: ${show(quiet.high)}).`,
  ].join('\n');
}

function rateTable(results: Results): string {
  const rows: string[][] = [];
  const row = (name: string, cells: string[]) => rows.push([name, ...cells]);
  const cellOf = (name: string, workload: string) => showSpread(rate(results, name, workload));
  if (results.subjects[ENGINE] !== undefined) {
    row(
      '**engine**, started over HTTP',
      GRAPHS.map((graph) => cellOf(ENGINE, overHttp(graph))),
    );
    row(
      '**engine**, started in process',
      GRAPHS.map((graph) => cellOf(ENGINE, graph)),
    );
  }
  for (const name of peers(results))
    row(
      name,
      GRAPHS.map((graph) => cellOf(name, graph)),
    );
  const table = markdownTable(['steps per second', ...GRAPHS.map((graph) => TITLES[graph])], rows);
  const lifecycle = results.subjects[REFERENCE]?.cells.lifecycle;
  if (lifecycle === undefined) return table;
  return `${table}\n\nRaw pg-boss moves ${cellOf(REFERENCE, 'lifecycle')} jobs per second through insert, fetch and complete ("lifecycle").`;
}

function realTable(results: Results): string {
  if (results.subjects[ENGINE] === undefined) return '';
  const body = (name: string, workloads: readonly (string | null)[]) => [
    name,
    ...workloads.map((workload) => (workload === null ? '-' : showSpread(rate(results, ENGINE, workload)))),
  ];
  return markdownTable(
    ['engine with real bodies, steps per second', ...GRAPHS.map((graph) => TITLES[graph])],
    [
      body('1 KB in and out, native expressions, retry policy', ['real-single', 'real-chain', 'real-fan']),
      body('the same with a sandboxed expression', [null, 'sandbox-chain', null]),
    ],
  );
}

function ratioTable(results: Results): string {
  if (results.subjects[ENGINE] === undefined) return '';
  const against = (name: string, other: (graph: string) => string) => [
    name,
    ...GRAPHS.flatMap((graph) =>
      [overHttp(graph), graph].map((workload) =>
        show(ratio(results, [ENGINE, workload], [name, other(graph)]).median),
      ),
    ),
  ];
  const rows = peers(results).map((name) => against(name, (graph) => graph));
  if (results.subjects[REFERENCE] !== undefined) {
    rows.unshift(against(REFERENCE, () => 'lifecycle').with(0, 'raw pg-boss lifecycle'));
  }
  if (rows.length === 0) return '';
  const titles = GRAPHS.flatMap((graph) => [`${TITLES[graph]}, HTTP`, `${TITLES[graph]}, in process`]);
  return markdownTable(['engine, times', ...titles], rows);
}

function latencyTable(results: Results): string {
  const rows = Object.keys(results.subjects)
    .filter((name) => Object.keys(results.subjects[name]!.latencies).length > 0)
    .map((name) => [
      name === ENGINE ? '**engine**, HTTP start to long-polled end' : name,
      ...(['single', 'chain'] as const).flatMap((workload) =>
        (['p50', 'p99'] as const).map((q) => showSpread(latency(results, name, workload, q))),
      ),
    ]);
  return markdownTable(['idle latency, ms', 'single p50', 'p99', 'chain of 10 p50', 'p99'], rows);
}

function costTable(results: Results): string {
  const rows = Object.entries(results.subjects).map(([name, { costs, cells }]) => {
    const workload = name === REFERENCE ? 'lifecycle' : 'chain';
    const last = cells[workload] ?? [];
    const middle = (field: 'processMs' | 'serverMs') =>
      show(
        last.map((cell) => cell[field] ?? Number.NaN).toSorted((a, b) => a - b)[
          Math.floor(last.length / 2)
        ] ?? Number.NaN,
      );
    return [
      name === REFERENCE ? 'raw pg-boss (per job)' : name,
      ...(['statements', 'transactions', 'fsyncs', 'walBytes'] as const).map((field) =>
        costs === null ? '-' : show(costs[field]),
      ),
      middle('processMs'),
      middle('serverMs'),
      showSpread(cpuPerStep(results, name, workload)),
    ];
  });
  const titles = [
    'statements',
    'transactions',
    'fsyncs',
    'WAL bytes',
    'CPU-ms, process',
    'CPU-ms, server',
    'CPU-ms',
  ];
  return markdownTable(['per step of a chain of 10', ...titles], rows);
}

function goalTable(results: Results): string {
  const rows = goals(results).map(({ goal, wanted, measured, reached }) => [
    goal,
    wanted,
    show(measured),
    Number.isNaN(measured) ? 'not measured' : reached ? 'yes' : 'no',
  ]);
  return rows.length === 0 ? '' : markdownTable(['goal', 'wanted', 'measured', 'reached'], rows);
}

function settings({ subjects, leftOut }: Results): string {
  const lines = Object.entries(subjects).map(([name, { description }]) => {
    const versions = Object.entries(description.versions).map(([what, version]) => `${what} ${version}`);
    const { runtime, settings: told, starts } = description;
    return `- ${name}: ${versions.join(', ')} on ${runtime}; ${[told, starts ?? []].flat().join('; ')}`;
  });
  const missing = leftOut.map(({ name, why }) => `- ${name}: left out: ${why}`);
  return ['Settings:', '', ...lines, ...missing].join('\n');
}
