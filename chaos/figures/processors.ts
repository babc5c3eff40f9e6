/**
 * How busy the processors of the machine were in a time, by the counters of Linux.
 */
import { readFile } from 'node:fs/promises';

/** Shares of the time, from 0 to 1. */
export interface ProcessorUse {
  /** Of all processors together. */
  readonly busy: number;
  /** The time in which at least one process that could run waited for a processor; null: not counted here. */
  readonly waited: number | null;
}

interface Counters {
  readonly at: number;
  readonly busy: number;
  readonly all: number;
  readonly waitedMs: number | null;
}

/** Returns a function that returns the use since this call; null where the system has no such counters. */
export async function watchProcessors(): Promise<() => Promise<ProcessorUse | null>> {
  const from = await readCounters();
  return async () => {
    const to = await readCounters();
    if (from === null || to === null) return null;
    const waited =
      from.waitedMs === null || to.waitedMs === null
        ? null
        : (to.waitedMs - from.waitedMs) / (to.at - from.at);
    return { busy: (to.busy - from.busy) / (to.all - from.all), waited };
  };
}

async function readCounters(): Promise<Counters | null> {
  const stat = await readFile('/proc/stat', 'utf8').catch(() => null);
  if (stat === null) return null;
  const ticks = stat.slice(0, stat.indexOf('\n')).trim().split(/\s+/).slice(1, 9).map(Number);
  const all = ticks.reduce((sum, count) => sum + count, 0);
  const [, , , idle, ioWait] = ticks;
  const pressure = await readFile('/proc/pressure/cpu', 'utf8').catch(() => '');
  const total = /^some .*total=(\d+)/m.exec(pressure)?.[1];
  return {
    at: performance.now(),
    busy: all - idle! - ioWait!,
    all,
    waitedMs: total === undefined ? null : Number(total) / 1_000,
  };
}
