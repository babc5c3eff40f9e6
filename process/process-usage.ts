/**
 * What another process uses, from Linux's /proc; null where that cannot be read.
 */
import { readFileSync } from 'node:fs';

const PAGE_BYTES = 4096;

/** Processor time it has used, in milliseconds (in ticks of 10 ms). */
export function cpuMs(pid: number | null): number | null {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10;
  } catch {
    return null;
  }
}

/** Processes that it has started and that are its children still; none where that cannot be read. */
export function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1');
    return text
      .split(' ')
      .filter((word) => word.trim() !== '')
      .map(Number);
  } catch {
    return [];
  }
}

/** Memory it holds: resident, and `data` as the limit of `prlimit --data` counts it. */
export function memoryBytes(pid: number | null): { resident: number; data: number } | null {
  try {
    const fields = readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ').map(Number);
    return { resident: fields[1]! * PAGE_BYTES, data: fields[5]! * PAGE_BYTES };
  } catch {
    return null;
  }
}
