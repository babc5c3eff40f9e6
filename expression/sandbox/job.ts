/**
 * The book-keeping of a lane: jobs on their way, the workers that have them, and the times at which they are overdue.
 *
 * Not here: the reaction to an overdue job (lane.ts), the choice of a worker (placement.ts).
 */

import { encodeFrame } from '../../process/frame.ts';
import { cpuMs } from '../../process/process-usage.ts';
import { ExpressionError } from '../expression-error.ts';
import type { SandboxProcess } from './process.ts';
import { type Answer, type EvaluateRequest, type LogLevel, readResults, type ScriptRequest } from './wire.ts';

export interface Job {
  /** Whose it is: workspaces take turns, and so do the executions of each. */
  readonly workspace: string;
  readonly execution: string;
  readonly request: EvaluateRequest | ScriptRequest;
  /** JSON text of the scope or the input; asked for when a process takes the job, since many may wait for one. */
  readonly body: () => string;
  readonly onLog: ((line: string, level: LogLevel) => void) | null;
  resolve(results: unknown[]): void;
  reject(error: ExpressionError): void;
}

export interface Entry extends Job {
  settled: boolean;
  readonly onSettled: () => void;
  /** The number of processes that died by themselves while this was the head. */
  crashes: number;
}

export interface Worker {
  readonly process: SandboxProcess;
  readonly running: Map<number, Entry>;
  ready: boolean;
  /** Gets no more work: killed, gone or tired. */
  retired: boolean;
  /** The head delays the others. */
  stalled: boolean;
  headSince: number;
  headCpuMs: number | null;
  /** Of the head's time, for how long this process did not run itself: frozen, or busy. */
  unwatchedMs: number;
}

/** After this time a head delays the requests behind it. */
export const STALL_MS = 25;
/** The time beyond its own limit after which a process is killed. */
const GRACE_MS = 60;
/** The factor for the time of a process that got no processor from the system. */
const STARVED_FACTOR = 4;

export function newWorker(process: SandboxProcess): Worker {
  const headSince = performance.now();
  return {
    process,
    running: new Map(),
    ready: false,
    retired: false,
    stalled: false,
    headSince,
    headCpuMs: null,
    unwatchedMs: 0,
  };
}

export function headOf(worker: Worker): Entry | undefined {
  return worker.running.values().next().value;
}

export function beginHead(worker: Worker): void {
  worker.headSince = performance.now();
  worker.headCpuMs = null;
  worker.unwatchedMs = 0;
  worker.stalled = false;
}

export function settle(entry: Entry, how: () => void): void {
  if (entry.settled) return;
  entry.settled = true;
  entry.onSettled();
  how();
}

/** The request for a job; null: it cannot be written, and is rejected. */
export function frameOf(entry: Entry, id: number): Buffer | null {
  try {
    return encodeFrame({ ...entry.request, id }, entry.body());
  } catch (error) {
    const code = entry.request.kind === 'script' ? 'script_failed' : 'expression_failed';
    const message = `what it reads cannot be written as JSON: ${(error as Error).message}`;
    settle(entry, () => entry.reject(new ExpressionError(code, message)));
    return null;
  }
}

export function answer(entry: Entry, header: Answer & { kind: 'done' | 'failed' }, body: string): void {
  if (header.kind === 'done') {
    entry.resolve(readResults(body, header.special));
    return;
  }
  const { code, message, ...more } = header.failure;
  entry.reject(new ExpressionError(code, message, more));
}

/** @param age of the head, in milliseconds */
export function isOverdue(worker: Worker, { request }: Entry, age: number): boolean {
  if (worker.headCpuMs === null && age >= STALL_MS) worker.headCpuMs = cpuMs(worker.process.pid);
  const maxMs = request.timeoutMs + GRACE_MS;
  if (age < maxMs) return false;
  // The head is not to blame when its answer has come meanwhile, or its request had not gone out.
  const watchedMs = age - worker.unwatchedMs;
  if (watchedMs > STARVED_FACTOR * maxMs) return true;
  const now = cpuMs(worker.process.pid);
  // Unknown: the clock alone decides.
  if (now === null || worker.headCpuMs === null) return watchedMs >= maxMs;
  return now - worker.headCpuMs >= request.timeoutMs - STALL_MS;
}
