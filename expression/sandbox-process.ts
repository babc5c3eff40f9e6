/**
 * One sandbox process, seen from the engine: how it is started, spoken to and ended.
 *
 * Not here: what it is given to do and for how long (sandbox-lane.ts).
 *
 * Invariant 1: the process sees no variable of the engine's environment, and an empty working directory.
 * Invariant 2: whatever it writes, the engine only reads frames of a bounded size; any other output ends it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Frame, FrameReader } from './frame.ts';
import type { Answer } from './sandbox-wire.ts';

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

const WORKER = fileURLToPath(new URL('./sandbox-worker.ts', import.meta.url));
const PRLIMIT = '/usr/bin/prlimit';
const BASE_BYTES = 768 * 1024 * 1024;
/** A process whose engine is gone and that cannot be interrupted ends at the latest after so much CPU time. */
const CPU_SECONDS = 1800;
// JavaScriptCore reserves 1 GB for compiled code, which counts as data, and interprets everything when it cannot.
const ENVIRONMENT = { TZ: 'UTC', BUN_JSC_jitMemoryReservationSize: String(64 * 1024 * 1024) };
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

export class SandboxProcess {
  private readonly child: ChildProcess;
  private closed = false;

  constructor({ directory, maxMemoryBytes, limited, onAnswer, onClose }: ProcessOptions) {
    mkdirSync(directory, { recursive: true });
    const [command, args] = commandLine(maxMemoryBytes, limited);
    this.child = spawn(command, args, {
      cwd: directory,
      env: ENVIRONMENT,
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const reader = new FrameReader<Answer>(MAX_ANSWER_BYTES);
    this.child.stdout!.on('data', (chunk: Buffer) => {
      try {
        for (const frame of reader.push(chunk)) onAnswer(frame);
      } catch {
        this.kill();
      }
    });
    const close = (): void => {
      if (this.closed) return;
      this.closed = true;
      onClose();
    };
    this.child.on('error', close);
    this.child.on('close', close);
    // A process that is gone is noticed by its close; a write that comes too late is of no interest.
    this.child.stdin!.on('error', () => undefined);
    this.unref();
  }

  get pid(): number | null {
    return this.child.pid ?? null;
  }

  write(frames: readonly Buffer[]): void {
    this.child.stdin!.write(frames.length === 1 ? frames[0]! : Buffer.concat(frames));
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }

  /** Lets the engine's process end although this one lives. */
  private unref(): void {
    this.child.unref();
    for (const stream of [this.child.stdin, this.child.stdout]) (stream as { unref?: () => void }).unref?.();
  }
}

function commandLine(maxMemoryBytes: number, limited: boolean): [command: string, args: string[]] {
  const worker = [WORKER, String(maxMemoryBytes)];
  if (!limited || process.platform !== 'linux' || !existsSync(PRLIMIT)) return [process.execPath, worker];
  const limits = [`--data=${maxMemoryBytes + BASE_BYTES}`, `--cpu=${CPU_SECONDS}`, '--core=0'];
  return [PRLIMIT, [...limits, process.execPath, ...worker]];
}
