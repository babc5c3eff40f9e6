/**
 * One sandbox process, seen from the engine, and the little that it is started with.
 *
 * Not here: its requests and their time limits (lane.ts).
 *
 * Invariant: the process sees no variable of the engine's environment, and an empty working directory.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Frame } from '../../process/frame.ts';
import { FramedProcess } from '../../process/framed-process.ts';
import type { Answer } from './wire.ts';

export interface ProcessOptions {
  /** An empty directory; made again when something has removed it. */
  directory: string;
  /** Most memory of QuickJS; the whole process gets BASE_BYTES more where prlimit exists. */
  maxMemoryBytes: number;
  /** Start it under prlimit where that exists. */
  limited: boolean;
  onAnswer(frame: Frame<Answer>): void;
  /** Once, when the process is gone and everything it wrote was read. */
  onClose(): void;
}

const WORKER = fileURLToPath(new URL('./worker.ts', import.meta.url));
const PRLIMIT = '/usr/bin/prlimit';
const BASE_BYTES = 768 * 1024 * 1024;
/** The CPU time after which the system ends a process that cannot be interrupted and whose engine is gone. */
const CPU_SECONDS = 1800;
// JavaScriptCore reserves 1 GB for compiled code, which counts as data, and interprets everything when it cannot.
const ENVIRONMENT = { TZ: 'UTC', BUN_JSC_jitMemoryReservationSize: String(64 * 1024 * 1024) };
const NICENESS = 10;
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

export class SandboxProcess {
  readonly #process: FramedProcess<Answer>;

  constructor({ directory, maxMemoryBytes, limited, onAnswer, onClose }: ProcessOptions) {
    mkdirSync(directory, { recursive: true });
    const [command, args] = commandLine(maxMemoryBytes, limited);
    this.#process = new FramedProcess<Answer>({
      command,
      args,
      cwd: directory,
      env: ENVIRONMENT,
      channel: 'stdio',
      maxFrameBytes: MAX_ANSWER_BYTES,
      onFrame: onAnswer,
      onClose,
    });
    giveWay(this.pid);
  }

  get pid(): number | null {
    return this.#process.pid;
  }

  write(frames: readonly Buffer[]): void {
    this.#process.write(frames);
  }

  kill(): void {
    this.#process.kill();
  }
}

/** Code that uses up a processor yields it to the engine, and to other programs on the machine. */
function giveWay(pid: number | null): void {
  try {
    if (pid !== null) setPriority(pid, NICENESS);
  } catch {
    // The system does not let it, or the process is gone.
  }
}

function commandLine(maxMemoryBytes: number, limited: boolean): [command: string, args: string[]] {
  const worker = [WORKER, String(maxMemoryBytes)];
  if (!limited || process.platform !== 'linux' || !existsSync(PRLIMIT)) return [process.execPath, worker];
  const limits = [`--data=${maxMemoryBytes + BASE_BYTES}`, `--cpu=${CPU_SECONDS}`, '--core=0'];
  return [PRLIMIT, [...limits, process.execPath, ...worker]];
}
