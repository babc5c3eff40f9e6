/**
 * The result of a run: green, failed, or invalid; as data and as text.
 */
import type { CheckedCounts } from './checks.ts';
import type { ClientCounts } from './client.ts';
import type { Durations } from './figures/durations.ts';
import type { Figures } from './figures/figures.ts';
import type { ProcessorUse } from './figures/processors.ts';
import { PARTS, type RecoveryParts } from './figures/recovery-parts.ts';
import type { FaultCounts } from './nemesis.ts';
import { commandOf, type Options } from './options.ts';
import type { GaveUp } from './stage/fleet.ts';
import type { WireCounts } from './stage/proxy.ts';
import type { Violation } from './violations.ts';
import type { SignalCounts } from './waits/signaller.ts';

export interface Findings {
  readonly seconds: { faults: number; calm: number; total: number };
  /** While there were faults; null: not counted on this system. */
  readonly processors: ProcessorUse | null;
  readonly client: ClientCounts;
  readonly signals: SignalCounts;
  readonly workerStarts: number;
  readonly checked: CheckedCounts;
  readonly faults: FaultCounts;
  readonly wire: WireCounts;
  readonly figures: Figures;
  readonly staleCompletions: number;
  readonly engineStarts: number;
  /** Engines that ended by themselves; before they were ready that is what a lost database does to them. */
  readonly gaveUp: readonly GaveUp[];
  readonly violations: readonly Violation[];
}

export type Verdict = 'green' | 'violations' | 'invalid';

export interface Report extends Findings {
  readonly verdict: Verdict;
  /** The reason why the run is invalid. */
  readonly shortcomings: readonly string[];
  readonly options: Options;
  readonly command: string;
  /** Where data, logs and dumps are; null: removed. */
  readonly folder: string | null;
}

export const EXIT_CODES: Readonly<Record<Verdict, number>> = { green: 0, violations: 1, invalid: 2 };

const LEAST_STARTED = 0.95;
/** Attempts that are told one by one. */
const MAX_TAKEN = 10;

export function makeReport(options: Options, findings: Findings, folder: string): Report {
  const shortcomings = shortcomingsOf(options, findings);
  const verdict =
    findings.violations.length > 0 ? 'violations' : shortcomings.length > 0 ? 'invalid' : 'green';
  const kept = verdict !== 'green' || options.keep;
  return {
    verdict,
    shortcomings,
    options,
    command: commandOf(options),
    folder: kept ? folder : null,
    ...findings,
  };
}

/** A run with too few faults must not count as green. */
function shortcomingsOf(options: Options, { client, faults, figures }: Findings): string[] {
  const { executions } = options;
  const wanting: string[] = [];
  const least = (what: string, found: number, wanted: number) => {
    if (found < wanted) wanting.push(`${what}: ${found}, and at least ${wanted} are needed`);
  };
  least('executions started', client.started, Math.ceil(executions * LEAST_STARTED));
  for (const fault of options.faults)
    least(`faults of kind ${fault}`, faults[fault], leastFaults(executions));
  if (options.faults.includes('kill'))
    least('kills that hit a running step', figures.killsThatHit, leastHits(executions));
  if (options.faults.includes('pause'))
    least('pauses in which others took over', figures.pausesThatHit, leastPauses(executions));
  return wanting;
}

/** Of each kind. */
export function leastFaults(executions: number): number {
  return Math.min(10, Math.ceil(executions / 1_000));
}

/** Small runs are too short to count on one that is long enough and hits. */
function leastPauses(executions: number): number {
  return Math.min(10, Math.floor(executions / 5_000));
}

function leastHits(executions: number): number {
  return Math.min(100, Math.ceil(executions / 200));
}

export function reportText(report: Report): string {
  const { verdict, shortcomings, violations, seconds, client, checked, faults, wire, figures } = report;
  const list = (counts: Readonly<Record<string, number>>) =>
    Object.entries(counts)
      .map(([name, count]) => `${count} ${name}`)
      .join(', ');
  const { recovery } = figures;
  const lines = [
    `${verdict.toUpperCase()}: ${checked.executions} executions (${list(checked.byStatus)}), ${checked.steps} steps, ${checked.scopes} scopes, ${checked.compensations} compensations, ${checked.children} children, ${checked.effects} effects`,
    `time: ${seconds.faults} s of faults, ${seconds.calm} s until all was final, ${seconds.total} s in all`,
    processorsText(report.processors),
    `faults: ${list(faults.details)}; ${wire.eaten} commits eaten, ${wire.cut} cut off, of ${wire.commits}`,
    `kills that hit a running step: ${figures.killsThatHit}, with ${figures.stepsHit} steps; pauses in which others took over: ${figures.pausesThatHit}`,
    `recovery after kill -9: ${durationsText(recovery.ofKills)}`,
    `  where the database was well: ${durationsText(recovery.ofKillsAlone)}`,
    ...partsText(recovery.parts),
    `taken over from a frozen engine: ${durationsText(recovery.ofPauses)}`,
    `attempts lost with their owner: ${checked.lostAttempts}; taken from an engine that was well: ${figures.takenFromHealthy.length}`,
    ...figures.takenFromHealthy
      .slice(0, MAX_TAKEN)
      .map(
        ({ stepId, attempt, engine, claimedAt, takenAt }) =>
          `  attempt ${attempt} of ${stepId} on ${engine}, claimed at ${claimedAt.toISOString()}, taken at ${takenAt.toISOString()}`,
      ),
    `late results refused: ${report.staleCompletions}`,
    `engines: ${report.engineStarts} starts, ${report.gaveUp.length} ended by themselves`,
    `calls: ${client.started} starts, ${client.stopped} stops, ${client.cancelled} cancels, ${client.unclear} asked again`,
    `signals: ${list({ ...report.signals })}; workers: ${report.workerStarts} starts`,
  ];
  for (const [what, count] of Object.entries(client.serverErrors)) lines.push(`answered ${count} x ${what}`);
  for (const what of shortcomings) lines.push(`too little: ${what}`);
  if (shortcomings.length > 0)
    lines.push('a longer run (--at-least) or more frequent faults (--kill-every, --db-every, …) prove more');
  for (const { check, count, examples } of violations) {
    lines.push(`WRONG ${count} x ${check}`);
    for (const { executionId, detail } of examples) lines.push(`  ${executionId ?? '-'}: ${detail}`);
  }
  if (report.folder !== null) lines.push(`kept in ${report.folder}`);
  if (verdict !== 'green') lines.push(`repeat with: ${report.command}`);
  return lines.join('\n');
}

function partsText(parts: RecoveryParts | null): string[] {
  if (parts === null) return [];
  const { all, ofSlowest, lostAgain } = parts;
  return [
    ...PARTS.map((part) => `  until it was ${part}: ${durationsText(all[part])}`),
    `  the slowest tenth, means: ${PARTS.map((part) => `${part} ${ofSlowest[part]} ms`).join(', ')}; the next attempt was lost as well: ${lostAgain}`,
  ];
}

function processorsText(use: ProcessorUse | null): string {
  if (use === null) return 'processors: not counted on this system';
  const percent = (share: number) => `${Math.round(share * 100)} %`;
  const waited =
    use.waited === null ? '' : `; some process waited for one in ${percent(use.waited)} of the time`;
  return `processors, while there were faults: ${percent(use.busy)} busy${waited}`;
}

function durationsText(durations: Durations | null): string {
  if (durations === null) return 'nothing to measure';
  const { n, p50, p90, p99, max } = durations;
  return `p50 ${p50} ms, p90 ${p90} ms, p99 ${p99} ms, most ${max} ms, of ${n}`;
}
