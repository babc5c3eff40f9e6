/**
 * Resource usage of another process, from Linux's /proc; null where that cannot be read.
 */
import { readFileSync } from 'node:fs';

const PAGE_BYTES = 4096;

/** Returns the processor time used, in milliseconds (in ticks of 10 ms). */
export function cpuMs(pid: number | null): number | null {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10;
  } catch {
    return null;
  }
}

/** Returns the current child processes of a process; empty where that cannot be read. */
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

/** Returns its memory: resident, and `data` as the limit of `prlimit --data` counts it. */
export function memoryBytes(pid: number | null): { resident: number; data: number } | null {
  try {
    const fields = readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ').map(Number);
    return { resident: fields[1]! * PAGE_BYTES, data: fields[5]! * PAGE_BYTES };
  } catch {
    return null;
  }
}
