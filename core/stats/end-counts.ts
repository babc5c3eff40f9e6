/**
 * Ends of executions, counted by span, workspace and template. Pure.
 */
import { addTo, classOf, type Histogram } from './histogram.ts';
import { KEPT_SECONDS, startOfSpan, WIDTHS, type Width } from './spans.ts';

export const ENDS = ['completed', 'failed', 'cancelled', 'timed_out'] as const;
export type End = (typeof ENDS)[number];

/** Stands for all workspaces, and for all templates. */
export const ALL = '*';

export interface EndedExecution {
  readonly workspaceId: string | null;
  readonly template: string;
  readonly status: End;
  readonly endedAt: Date;
  /** Null: it ended before it began. */
  readonly durationMs: number | null;
}

/** What one number of ends is about. */
export interface CountKey {
  readonly width: number;
  /** As it is stored: empty for none. */
  readonly workspace: string;
  readonly template: string;
  readonly startsAtMs: number;
}

export type EndNumbers = Record<End, number> & { readonly durations: Histogram };

export interface EndCount extends CountKey {
  readonly numbers: EndNumbers;
}

export function noEnds(): EndNumbers {
  return { completed: 0, failed: 0, cancelled: 0, timed_out: 0, durations: new Map() };
}

export function addNumbers(to: EndNumbers, other: EndNumbers): void {
  for (const end of ENDS) to[end] += other[end];
  addTo(to.durations, other.durations);
}

export function workspaceKey(workspaceId: string | null): string {
  return workspaceId ?? '';
}

/** Ends, or counts, between two yields. */
const AT_ONCE = 50;

/**
 * Returns the counts that some ends add: in each width, for their workspace and all, their template and all. Widths whose counts
 * would be too old to be kept are left out. In the order of their keys, so that whoever writes them locks rows in one order.
 * Yields now and then, so that it can be paused.
 */
export function* countEnds(ended: readonly EndedExecution[], nowMs: number): Generator<void, EndCount[]> {
  const minutes = new Map<string, EndCount>();
  for (const [at, one] of ended.entries()) {
    if (at % AT_ONCE === 0) yield;
    addCount(minutes, ofMinute(one));
  }
  const sums = new Map<string, EndCount>();
  let at = 0;
  for (const minute of minutes.values()) {
    if (at % AT_ONCE === 0) yield;
    at += 1;
    for (const count of spread(minute)) if (isKept(count, nowMs)) addCount(sums, count);
  }
  yield;
  return [...sums].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, sum]) => sum);
}

function ofMinute({ workspaceId, template, status, endedAt, durationMs }: EndedExecution): EndCount {
  const numbers = noEnds();
  numbers[status] = 1;
  if (durationMs !== null) numbers.durations.set(classOf(durationMs), 1);
  const [width] = WIDTHS;
  const startsAtMs = startOfSpan(endedAt.getTime(), width * 1_000);
  return { width, workspace: workspaceKey(workspaceId), template, startsAtMs, numbers };
}

function spread({ workspace, template, startsAtMs, numbers }: EndCount): EndCount[] {
  return WIDTHS.flatMap((width) =>
    [workspace, ALL].flatMap((ofWorkspace) =>
      [template, ALL].map((ofTemplate) => ({
        width,
        workspace: ofWorkspace,
        template: ofTemplate,
        startsAtMs: startOfSpan(startsAtMs, width * 1_000),
        numbers,
      })),
    ),
  );
}

function isKept({ width, startsAtMs }: EndCount, nowMs: number): boolean {
  return nowMs - startsAtMs <= (KEPT_SECONDS.get(width as Width) ?? Number.POSITIVE_INFINITY) * 1_000;
}

function addCount(sums: Map<string, EndCount>, { numbers, ...key }: EndCount): void {
  const text = keyText(key);
  const sum = sums.get(text) ?? { ...key, numbers: noEnds() };
  sums.set(text, sum);
  addNumbers(sum.numbers, numbers);
}

export function keyText({ width, workspace, template, startsAtMs }: CountKey): string {
  return `${width}/${workspace}/${template}/${startsAtMs}`;
}
