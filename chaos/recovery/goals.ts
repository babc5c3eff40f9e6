/**
 * The goals for the figures of each case, and the report of a run, as data and as text.
 */
import { type Durations, durationsOf, histogram } from '../figures/durations.ts';
import { type Case, type RecoveryOptions, recoveryCommandOf } from './options.ts';
import type { Findings } from './play.ts';

interface Goal {
  readonly figure: 'p50' | 'p99' | 'max';
  readonly maxMs: number;
}

export interface CaseReport {
  readonly name: Case;
  /** The name of the time that one figure measures. */
  readonly figure: string;
  /** One for each fault: of its slowest step. */
  readonly faults: Durations | null;
  /** One for each step that was hit. */
  readonly steps: Durations | null;
  readonly histogram: readonly string[];
  readonly goals: readonly (Goal & { readonly met: boolean })[];
  readonly facts: Readonly<Record<string, number | string>>;
  readonly problems: readonly string[];
  readonly seconds: number;
  /** Where data and logs are; null: removed. */
  readonly folder: string | null;
}

const FIGURES: Readonly<Record<Case, string>> = {
  kill: 'from the kill to the first call of the next attempt, others alive',
  'kill-after-cut': 'the same, up to 3 s after the connections of all engines were cut',
  alone: 'from the start of the next process to the first call of the next attempt',
  freeze: 'from the freeze to the first call of the next attempt',
  partition: 'from the cut to the first call of the next attempt',
  'db-restart': "from the database's return to the first call of a step that begins",
  'db-crash': 'from the kill of a backend to the first call of a step that begins after it',
};

const TWO_QUANTILES: readonly Goal[] = [
  { figure: 'p50', maxMs: 1_000 },
  { figure: 'p99', maxMs: 2_000 },
];
const most = (maxMs: number): readonly Goal[] => [{ figure: 'max', maxMs }];
const GOALS: Readonly<Record<Case, readonly Goal[]>> = {
  kill: TWO_QUANTILES,
  'kill-after-cut': [
    { figure: 'p50', maxMs: 1_500 },
    { figure: 'p99', maxMs: 5_000 },
  ],
  alone: most(6_000),
  freeze: most(15_000),
  partition: most(10_000),
  'db-restart': [],
  'db-crash': [],
};
/** Without leases only a missing heartbeat shows that an engine is dead. */
const WITHOUT_LEASES: Partial<Record<Case, readonly Goal[]>> = {
  kill: most(10_000),
  'kill-after-cut': most(10_000),
  alone: most(10_000),
};

export function goalsOf(
  name: Case,
  { backend, pooler }: Pick<RecoveryOptions, 'backend' | 'pooler'>,
): readonly Goal[] {
  const hasLeases = !pooler && (backend === null || backend === 'postgres');
  return (hasLeases ? undefined : WITHOUT_LEASES[name]) ?? GOALS[name];
}

export function makeCaseReport(
  name: Case,
  options: RecoveryOptions,
  findings: Findings,
  ends: { readonly seconds: number; readonly folder: string },
): CaseReport {
  const faults = durationsOf(findings.faults);
  const goals = goalsOf(name, options).map((goal) => ({
    ...goal,
    met: faults !== null && faults[goal.figure] <= goal.maxMs,
  }));
  const { facts, problems } = findings;
  const steps = durationsOf(findings.steps);
  const report = { name, figure: FIGURES[name], faults, steps, goals, facts, problems, ...ends };
  return { ...report, histogram: histogram(findings.faults) };
}

/** Every goal is met and every check passed. */
export function isGood({ goals, problems }: CaseReport): boolean {
  return problems.length === 0 && goals.every(({ met }) => met);
}

export function recoveryText(options: RecoveryOptions, reports: readonly CaseReport[]): string {
  const head = ['case', 'n', 'p50', 'p90', 'p99', 'max', 'goal (ms)', ''];
  const rows = reports.flatMap((report) => {
    const { name, faults, steps, goals } = report;
    const goal = goals.map(({ figure, maxMs }) => `${figure} ${maxMs}`).join(', ') || 'no extra attempt';
    const row = [name, ...cellsOf(faults), goal, isGood(report) ? 'ok' : 'MISSED'];
    return steps === null ? [row] : [row, ['  each step', ...cellsOf(steps), '', '']];
  });
  return [table([head, ...rows]), ...reports.map(detailsOf), recoveryCommandOf(options)].join('\n\n');
}

function cellsOf(durations: Durations | null): string[] {
  if (durations === null) return ['0', '-', '-', '-', '-'];
  const { n, p50, p90, p99, max } = durations;
  return [n, p50, p90, p99, max].map(String);
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const isText = (column: number) => column === 0 || column >= 6;
  const cell = (text: string, column: number) =>
    isText(column) ? text.padEnd(widths[column]!) : text.padStart(widths[column]!);
  return rows.map((row) => row.map(cell).join('  ').trimEnd()).join('\n');
}

function detailsOf({ name, figure, histogram, goals, facts, problems, seconds, folder }: CaseReport): string {
  const missed = goals.filter(({ met }) => !met);
  return [
    `${name}: ${figure}`,
    ...histogram,
    Object.entries({ ...facts, seconds })
      .map(([fact, value]) => `${fact}: ${value}`)
      .join(', '),
    ...missed.map(({ figure, maxMs }) => `MISSED ${figure} at most ${maxMs} ms`),
    ...problems.map((problem) => `WRONG ${problem}`),
    ...(folder === null ? [] : [`kept in ${folder}`]),
  ].join('\n');
}
