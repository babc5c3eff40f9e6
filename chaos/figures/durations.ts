/**
 * Sums up many durations in a few figures and in a picture in text.
 *
 * Not here: the judgement whether one is too long (recovery/goals.ts).
 */

/** Milliseconds, rounded. */
export interface Durations {
  readonly n: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

/** Null when there are none. */
export function durationsOf(ms: readonly number[]): Durations | null {
  if (ms.length === 0) return null;
  const sorted = ms.toSorted((a, b) => a - b);
  const at = (share: number) => Math.round(quantile(sorted, share));
  return { n: ms.length, p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) };
}

/** The smallest of the sorted values that this share of them does not exceed (nearest rank: one that was measured). */
function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
}

const BARS = 12;
const WIDTH = 40;
/** Widths of a bar that are easy to read, times a power of ten. */
const ROUND = [1, 2, 2.5, 5, 10];

/** A line for each span of time from the shortest to the longest, with how many fell into it. */
export function histogram(ms: readonly number[]): string[] {
  const durations = durationsOf(ms);
  if (durations === null) return [];
  const [least, most] = [Math.min(...ms), Math.max(...ms)];
  const step = roundUp((most - least) / BARS);
  const first = Math.floor(least / step);
  const counts = Array.from({ length: Math.floor(most / step) - first + 1 }, () => 0);
  for (const value of ms) counts[Math.floor(value / step) - first]! += 1;
  const highest = Math.max(...counts);
  return counts.map((count, at) => {
    const from = String(Math.round((first + at) * step)).padStart(6);
    const bar = '#'.repeat(count === 0 ? 0 : Math.max(1, Math.round((count / highest) * WIDTH)));
    return `${from} ms ${bar.padEnd(WIDTH)} ${count}`;
  });
}

function roundUp(width: number): number {
  if (width <= 1) return 1;
  const power = 10 ** Math.floor(Math.log10(width));
  return (ROUND.find((factor) => factor * power >= width) ?? 10) * power;
}
