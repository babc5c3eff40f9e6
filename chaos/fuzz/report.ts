/**
 * The findings of a fuzz run, in words.
 */
import { type FuzzOptions, fuzzCommandOf } from './options.ts';
import type { Played, Sent } from './run.ts';
import type { Block } from './stage.ts';

export interface FuzzReport {
  readonly command: string;
  readonly documents: number;
  readonly bytes: number;
  readonly seconds: number;
  /** How often each door gave each answer. */
  readonly answers: Readonly<Record<string, number>>;
  readonly failures: readonly Sent[];
  readonly longestBlockMs: number;
  /** By the clock, which on a busy machine includes the work of others. */
  readonly longestWallMs: number;
  /** Longer than allowed, with the requests that were on their way meanwhile. */
  readonly blocks: readonly { readonly ms: number; readonly suspects: readonly string[] }[];
  readonly maxEngineMiB: number;
  readonly maxChildrenMiB: number;
  readonly isAlive: boolean;
}

const SHOWN = 20;

export function fuzzReport(
  options: FuzzOptions,
  { sent, maxEngineBytes, maxChildrenBytes }: Played,
  all: readonly Block[],
  ended: { readonly seconds: number; readonly isAlive: boolean },
): FuzzReport {
  const begunAt = Math.min(...sent.map(({ sentAt }) => sentAt));
  // Before that the engine was starting.
  const blocks = all.filter(({ endedAt }) => endedAt >= begunAt);
  const answers: Record<string, number> = {};
  for (const { door, answer } of sent) {
    const key = `${door}: ${answer}`;
    answers[key] = (answers[key] ?? 0) + 1;
  }
  return {
    command: fuzzCommandOf(options),
    documents: sent.length,
    bytes: sent.reduce((sum, { bytes }) => sum + bytes, 0),
    answers: Object.fromEntries(Object.entries(answers).sort()),
    failures: sent.filter(({ isFailure }) => isFailure),
    longestBlockMs: longest(blocks.map(({ ms }) => ms)),
    longestWallMs: longest(blocks.map(({ wallMs }) => wallMs)),
    blocks: blocks
      .filter(({ ms }) => ms > options.maxBlock)
      .map((block) => ({ ms: Math.round(block.ms), suspects: suspectsOf(block, sent) })),
    maxEngineMiB: maxEngineBytes >> 20,
    maxChildrenMiB: maxChildrenBytes >> 20,
    ...ended,
  };
}

function longest(times: readonly number[]): number {
  return Math.round(times.reduce((most, ms) => Math.max(most, ms), 0));
}

/** The requests that were on their way while the event loop stood still, or shortly before. */
function suspectsOf({ endedAt, wallMs }: Block, sent: readonly Sent[]): string[] {
  const begunAt = endedAt - wallMs;
  return sent
    .filter(({ sentAt, answeredAt }) => sentAt <= endedAt && answeredAt >= begunAt - 100)
    .map(({ number, door, bytes, answer }) => `${number} (${door}, ${bytes} bytes, ${answer})`);
}

export function isGood({ blocks, failures, isAlive }: FuzzReport): boolean {
  return blocks.length === 0 && failures.length === 0 && isAlive;
}

export function fuzzText(report: FuzzReport): string {
  const { documents, bytes, seconds, longestBlockMs, longestWallMs, maxEngineMiB, maxChildrenMiB } = report;
  const lines = [
    `${documents} documents of ${Math.round(bytes / 2 ** 20)} MiB in ${seconds} s`,
    `longest block of the event loop: ${longestBlockMs} ms of processor time (by the clock ${longestWallMs} ms)`,
    `highest memory: engine ${maxEngineMiB} MiB, its processes ${maxChildrenMiB} MiB together`,
    ...Object.entries(report.answers).map(([answer, count]) => `  ${String(count).padStart(6)}  ${answer}`),
  ];
  const worst = [...report.blocks].sort((a, b) => b.ms - a.ms).slice(0, SHOWN);
  for (const { ms, suspects } of worst) lines.push(`BLOCK ${ms} ms: ${suspects.slice(0, 8).join('; ')}`);
  if (report.blocks.length > SHOWN) lines.push(`${report.blocks.length} blocks were too long`);
  for (const { number, door, answer } of report.failures.slice(0, SHOWN))
    lines.push(`FAILED ${number} (${door}): ${answer}`);
  if (!report.isAlive) lines.push('THE ENGINE ENDED');
  lines.push(isGood(report) ? 'as promised' : `NOT as promised; repeat with: ${report.command}`);
  return lines.join('\n');
}
