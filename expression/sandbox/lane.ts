/**
 * A lane of sandbox processes with one queue: starts them when there is work, distributes the work, and enforces the
 * time limits.
 *
 * A process runs its requests in order and answers each before the next, so the first request without an answer
 * (the head) is the one that runs. When a head takes long, the requests behind it move to another process; when
 * it is over its time, the process is killed and only the head fails.
 *
 * Invariant 1: every job is settled exactly once, whatever happens to the processes. Invariant 2: a job fails for the
 * death of a process only when it was the head, and never for one accident: after a death that was not ordered the head
 * is tried once more. Invariant 3: code is pure, so running a job twice is harmless; the first answer counts.
 */

import { encodeFrame, type Frame } from '../../process/frame.ts';
import { ExpressionError } from '../expression-error.ts';
import {
  answer,
  beginHead,
  type Entry,
  frameOf,
  freest,
  headOf,
  isOverdue,
  type Job,
  newWorker,
  STALL_MS,
  settle,
  type Worker,
} from './job.ts';
import { SandboxProcess } from './process.ts';
import type { Answer } from './wire.ts';

export interface LaneOptions {
  /** Processes; one more is started while all of them are held up and `spare` is set. */
  size: number;
  spare: boolean;
  /** Requests that a process may have at once. */
  maxInFlight: number;
  directory: string;
  maxMemoryBytes: number;
  /** Called for each process killed because it was out of time. */
  onKill(): void;
}

const TICK_MS = 20;
const START_MS = 30_000;
const MAX_CRASHES = 2;
const MAX_FAILED_STARTS = 3;
const SHARE_FROM = 4;

export class SandboxLane {
  readonly #options: LaneOptions;
  readonly #queue: Entry[] = [];
  readonly #workers = new Set<Worker>();
  #ticker: ReturnType<typeof setInterval> | null = null;
  #lastTick = 0;
  #paused = false;
  #failedStarts = 0;
  #limited = true;
  /** A request that moves gets another number, so an answer always belongs to one sending. */
  #lastSent = 0;
  #flushing = false;
  #closed = false;

  constructor(options: LaneOptions) {
    this.#options = options;
  }

  /** Queues a job; those of one tick travel together. */
  submit(job: Job): void {
    this.#queue.push({ ...job, settled: false, crashes: 0 });
    if (this.#closed) this.close();
    else this.#flushSoon();
  }

  /** Gives a job up; a process that runs it is killed. */
  abort(id: number): void {
    const error = new ExpressionError('aborted', 'it was aborted');
    const waiting = this.#queue.find((entry) => entry.request.id === id);
    if (waiting !== undefined) settle(waiting, () => waiting.reject(error));
    for (const worker of this.#workers) {
      const entry = [...worker.running.values()].find(({ request }) => request.id === id);
      if (entry === undefined) continue;
      settle(entry, () => entry.reject(error));
      if (headOf(worker) === entry && worker.ready) this.#kill(worker);
    }
    this.#flushSoon();
  }

  /** Starts the first process. */
  warm(): void {
    if (this.#workers.size === 0) this.#start();
  }

  processIds(): number[] {
    return [...this.#workers].flatMap(({ process: { pid } }) => (pid === null ? [] : [pid]));
  }

  close(): void {
    this.#closed = true;
    const error = new ExpressionError('aborted', 'the sandbox was closed');
    const running = [...this.#workers].flatMap((worker) => [...worker.running.values()]);
    for (const entry of [...this.#queue, ...running]) settle(entry, () => entry.reject(error));
    this.#queue.length = 0;
    for (const worker of this.#workers) worker.process.kill();
    this.#workers.clear();
    this.#stopTicking();
  }

  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      this.#dispatch();
    });
  }

  #dispatch(): void {
    const outgoing = new Map<Worker, Buffer[]>();
    while (this.#queue.length > 0) {
      const entry = this.#queue[0]!;
      const worker = entry.settled ? null : freest(this.#workers, this.#options.maxInFlight);
      if (!entry.settled && worker === null) break;
      this.#queue.shift();
      if (worker === null) continue;
      const id = ++this.#lastSent;
      const frame = frameOf(entry, id);
      if (frame === null) continue;
      if (worker.running.size === 0) beginHead(worker);
      worker.running.set(id, entry);
      const frames = outgoing.get(worker) ?? [];
      outgoing.set(worker, frames);
      frames.push(frame);
    }
    for (const [worker, frames] of outgoing) worker.process.write(frames);
    this.#growIfBusy();
    this.#keepTicking();
  }

  #growIfBusy(): void {
    const live = [...this.#workers].filter((worker) => !worker.retired);
    if (live.some((worker) => !worker.ready)) return;
    const stalled = live.every((worker) => worker.stalled);
    const busy = stalled || live.every((worker) => worker.running.size >= SHARE_FROM);
    const limit = this.#options.size + (this.#options.spare && stalled ? 1 : 0);
    const wanted = this.#queue.length > 0 || (busy && live.length > 0);
    if (wanted && live.length < limit) this.#start();
  }

  #start(): void {
    try {
      this.#workers.add(this.#startWorker());
    } catch {
      this.#onFailedStart();
      this.#flushSoon();
    }
    this.#keepTicking();
  }

  #startWorker(): Worker {
    const { directory, maxMemoryBytes } = this.#options;
    const process = new SandboxProcess({
      directory,
      maxMemoryBytes,
      limited: this.#limited,
      onAnswer: (frame) => this.#onAnswer(worker, frame),
      onClose: () => this.#onClose(worker),
    });
    const worker = newWorker(process);
    return worker;
  }

  #onAnswer(worker: Worker, { header, body }: Frame<Answer>): void {
    if (header.kind === 'ready') {
      this.#onReady(worker);
      return;
    }
    const entry = worker.running.get(header.id);
    if (entry === undefined) return;
    if (header.kind === 'log') {
      if (!entry.settled) entry.onLog?.(header.line, header.level);
      return;
    }
    const wasHead = headOf(worker) === entry;
    worker.running.delete(header.id);
    if (wasHead) beginHead(worker);
    if (header.kind !== 'dropped') {
      settle(entry, () => answer(entry, header, body));
      if (header.tired) worker.retired = true;
    }
    this.#retireIfDone(worker);
    this.#flushSoon();
  }

  #onReady(worker: Worker): void {
    worker.ready = true;
    this.#failedStarts = 0;
    this.#flushSoon();
  }

  /** Ends a process that is worn out, or that was the spare, when it has no more work. */
  #retireIfDone(worker: Worker): void {
    if (worker.running.size > 0) return;
    const live = [...this.#workers].filter(({ retired }) => !retired).length;
    if (!worker.retired && live <= this.#options.size) return;
    worker.retired = true;
    this.#workers.delete(worker);
    worker.process.kill();
  }

  #onClose(worker: Worker): void {
    if (!this.#workers.delete(worker)) return;
    if (!worker.ready) this.#onFailedStart();
    const head = headOf(worker);
    if (head !== undefined && !worker.retired && !head.settled && ++head.crashes >= MAX_CRASHES) {
      const code = head.request.kind === 'script' ? 'script_failed' : 'expression_failed';
      const message = 'the sandbox process ended while it ran, twice; it probably used too much memory';
      settle(head, () => head.reject(new ExpressionError(code, message)));
    }
    this.#requeue([...worker.running.values()]);
  }

  #onFailedStart(): void {
    // A machine whose runtime cannot start under the limit still gets a sandbox, without the limit.
    this.#limited = false;
    if (++this.#failedStarts < MAX_FAILED_STARTS) return;
    this.#failedStarts = 0;
    const error = new ExpressionError('sandbox_unavailable', 'no sandbox process can be started here');
    for (const entry of this.#queue.splice(0)) settle(entry, () => entry.reject(error));
  }

  #requeue(entries: readonly Entry[]): void {
    this.#queue.unshift(...entries.filter(({ settled }) => !settled));
    this.#flushSoon();
  }

  #keepTicking(): void {
    const idle = this.#queue.length === 0 && [...this.#workers].every(({ running }) => running.size === 0);
    if (idle) this.#stopTicking();
    if (idle || this.#ticker !== null) return;
    this.#lastTick = performance.now();
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
  }

  #stopTicking(): void {
    if (this.#ticker !== null) clearInterval(this.#ticker);
    this.#ticker = null;
  }

  #tick(): void {
    const now = performance.now();
    const late = now - this.#lastTick > 3 * TICK_MS;
    if (late) for (const worker of this.#workers) worker.unwatchedMs += now - this.#lastTick;
    this.#lastTick = now;
    // After a pause of this process there may be unread answers; they are read before the next tick.
    this.#paused = late && !this.#paused;
    if (this.#paused) return;
    for (const worker of this.#workers) this.#watch(worker, now);
    this.#dispatch();
  }

  #watch(worker: Worker, now: number): void {
    const age = now - worker.headSince;
    if (!worker.ready) {
      if (age > START_MS) worker.process.kill();
      return;
    }
    const head = headOf(worker);
    if (head === undefined) return;
    if (isOverdue(worker, head, age)) this.#onOverdue(worker, head);
    else if (age >= STALL_MS && !worker.stalled) this.#relieve(worker, head);
  }

  /** Moves the requests behind a slow head to other processes. */
  #relieve(worker: Worker, head: Entry): void {
    worker.stalled = true;
    const behind = [...worker.running].filter(([, entry]) => entry !== head);
    if (behind.length === 0) return;
    worker.process.write([encodeFrame({ kind: 'drop', ids: behind.map(([id]) => id) })]);
    this.#requeue(behind.map(([, entry]) => entry));
  }

  #onOverdue(worker: Worker, head: Entry): void {
    const { kind, timeoutMs } = head.request;
    const code = kind === 'script' ? 'script_timeout' : 'expression_timeout';
    settle(head, () => head.reject(new ExpressionError(code, `it took longer than ${timeoutMs} ms`)));
    this.#kill(worker);
  }

  /** Ends a process because of its head; its other requests move elsewhere. */
  #kill(worker: Worker): void {
    this.#options.onKill();
    worker.retired = true;
    this.#workers.delete(worker);
    worker.process.kill();
    this.#requeue([...worker.running.values()]);
  }
}
