/**
 * The memory of a process: read every half second, from /proc or, where there is none, from `ps`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

export interface MemorySample {
  /** Seconds since the sampling began. */
  readonly at: number;
  /** Resident, in MB of 1,048,576 bytes. */
  readonly mb: number;
  /** The part that is not mapped from files (such as the program itself); null where only `ps` can be asked. */
  readonly anonymousMb: number | null;
}

const INTERVAL_MS = 500;
const KIB_PER_MB = 1_024;

/** NaN when the process is gone. */
export function readMemory(pid: number): Omit<MemorySample, 'at'> {
  if (!existsSync('/proc/self/status')) {
    const { stdout } = spawnSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' });
    return { mb: Number(stdout) / KIB_PER_MB, anonymousMb: null };
  }
  const file = `/proc/${pid}/status`;
  const status = existsSync(file) ? readFileSync(file, 'utf8') : '';
  const mbOf = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN) / KIB_PER_MB;
  return { mb: mbOf('VmRSS'), anonymousMb: mbOf('RssAnon') };
}

/** Samples until it is stopped. */
export class MemoryWatch {
  readonly samples: MemorySample[] = [];
  readonly #pid: number;
  readonly #begun = performance.now();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(pid: number) {
    this.#pid = pid;
    this.read();
    this.#timer = setInterval(() => this.read(), INTERVAL_MS);
  }

  read(): MemorySample {
    const sample = { at: (performance.now() - this.#begun) / 1000, ...readMemory(this.#pid) };
    this.samples.push(sample);
    return sample;
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
