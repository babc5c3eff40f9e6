/**
 * The result of a soak run: a verdict for each series, as data and as text.
 */
import { type Growth, growthOf, type Point } from './growth.ts';
import { type SoakOptions, soakCommandOf } from './options.ts';
import { KEPT, type Sample } from './samples.ts';
import { ruleOf } from './series.ts';

export interface SoakFindings {
  readonly rate: number;
  /** The maximum rate of the engines; null: it was not measured. */
  readonly full: number | null;
  readonly started: number;
  readonly samples: readonly Sample[];
  readonly problems: readonly string[];
}

export interface SeriesReport {
  readonly series: string;
  readonly first: number;
  readonly last: number;
  /** Null: too few samples. */
  readonly growth: Growth | null;
  readonly verdict: Verdict;
}

export interface SoakReport extends SoakFindings {
  readonly options: SoakOptions;
  readonly command: string;
  readonly series: readonly SeriesReport[];
  /** Retention was not yet at its full work when the judged time began: the kept executions had to rise. */
  readonly short: boolean;
  readonly good: boolean;
}

/** `told`: it is not judged, or the run was too short to. */
type Verdict = 'steady' | 'GROWS' | 'told';

/** A sweep comes once a minute. */
const SWEEP_MINUTES = 1;

export function makeSoakReport(options: SoakOptions, findings: SoakFindings): SoakReport {
  const { samples, rate, problems } = findings;
  const short = options.minutes / 3 < options.retentionMinutes + SWEEP_MINUTES;
  const names = [...new Set(samples.flatMap(({ values }) => Object.keys(values)))];
  const series = names.map((name) => judge(name, samples, rate, short));
  const good = problems.length === 0 && series.every(({ verdict }) => verdict !== 'GROWS');
  return { ...findings, options, command: soakCommandOf(options, rate), series, short, good };
}

function judge(name: string, samples: readonly Sample[], rate: number, short: boolean): SeriesReport {
  const points = pointsOf(samples, name);
  const rule = ruleOf(name, rate);
  const cause = rule?.perKept ? pointsOf(samples, KEPT) : null;
  const growth = rule === null ? null : growthOf(points, rule, cause);
  const isJudged = growth !== null && !(short && name === KEPT);
  const verdict = !isJudged ? 'told' : growth.grows ? 'GROWS' : 'steady';
  return { series: name, first: points[0]!.value, last: points.at(-1)!.value, growth, verdict };
}

function pointsOf(samples: readonly Sample[], name: string): Point[] {
  return samples.flatMap(({ at, values }) => {
    const value = values[name];
    return value === undefined || Number.isNaN(value) ? [] : [{ at, value }];
  });
}

/** Tables that hold less than this are left out of the text. */
const SMALL_MIB = 1;

export function soakText(report: SoakReport): string {
  const { rate, full, started, problems, series, short, command, good } = report;
  const measured = full === null ? 'as asked for' : `half of the ${show(full)} that were measured`;
  const shown = series.filter(({ series: name, last, verdict }) => {
    return verdict === 'GROWS' || !/^\S+\.\S+ \(MiB\)$/.test(name) || last >= SMALL_MIB;
  });
  const head = ['series', 'first', 'last', 'mean', 'rise', 'noise', 'explained', 'allowed', ''];
  const rows = shown.map(({ series: name, first, last, growth, verdict }) => {
    const { mean, rise, noise, explained, allowed } = growth ?? {};
    return [name, ...[first, last, mean, rise, noise, explained, allowed].map(show), verdict];
  });
  return [
    `${good ? 'STEADY' : 'NOT STEADY'}: ${started} executions at ${show(rate)} per second, ${measured}`,
    minutesTable(report),
    'Mean and what follows are of the last two thirds of the time.',
    textTable([head, ...rows]),
    ...(short ? ['The run was too short to judge what is kept: retention had just begun.'] : []),
    ...problems.map((problem) => `WRONG ${problem}`),
    command,
  ].join('\n');
}

const TOLD_BY_MINUTE = [
  'start p50 (ms)',
  'start p99 (ms)',
  'completed p50 (ms)',
  'completed p99 (ms)',
  'statements/s',
  'event loop lag (mean ms)',
  KEPT,
  'dead rows',
];

/** The median of each minute's samples. */
function minutesTable({ samples }: SoakReport): string {
  const minutes = Map.groupBy(samples, ({ at }) => Math.max(0, Math.ceil(at / 60) - 1));
  const rows = [...minutes].map(([minute, its]) => [
    String(minute + 1),
    ...TOLD_BY_MINUTE.map((name) => show(median(pointsOf(its, name).map(({ value }) => value)))),
  ]);
  return textTable([['minute', ...TOLD_BY_MINUTE], ...rows]);
}

function median(values: readonly number[]): number | undefined {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}

function show(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return '-';
  return Math.abs(value) >= 100 ? String(Math.round(value)) : value.toFixed(1);
}

function textTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const cell = (text: string, column: number) =>
    column === 0 ? text.padEnd(widths[column]!) : text.padStart(widths[column]!);
  return rows.map((row) => row.map(cell).join('  ').trimEnd()).join('\n');
}
