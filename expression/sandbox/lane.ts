/**
 * A lane of sandbox processes with one queue: starts them when there is work, distributes the work, and enforces the
 * time limits.
 *
 * Workspaces take turns in the queue, and so do the executions of each. A workspace whose jobs are slow cannot hold all
 * processes (placement.ts): while some are held up there is one more, for those that hold none.
 *
 * A process runs its requests in order and answers each before the next, so the first request without an answer
 * (the head) is the one that runs. When a head takes long, the requests behind it move to another process; when
 * it is over its time, the process is killed and only the head fails.
 *
 * Invariant 1: every job is settled exactly once, whatever happens to the processes.
 * Invariant 2: a job fails for the death of a process only when it was the head, and never for one accident: after a
 * death that was not ordered the head is tried once more.
 * Invariant 3: code is pure, so running a job twice is harmless; the first answer counts.
 */
import { WorkspaceTurns } from '../../core/fairness/turn-queue.ts';
import { encodeFrame, type Frame } from '../../process/frame.ts';
import { turns } from '../../process/turn-share.ts';
import { ExpressionError } from '../expression-error.ts';
import {
  answer,
  beginHead,
  type Entry,
  frameOf,
  headOf,
  isOverdue,
  type Job,
  newWorker,
  STALL_MS,
  settle,
  type Worker,
} from './job.ts';
import { Outgoing } from './outgoing.ts';
import { Paces } from './paces.ts';
import { type LaneSize, placementLimits, workerFor } from './placement.ts';
import { SandboxProcess } from './process.ts';
import type { Answer } from './wire.ts';

export interface LaneOptions extends LaneSize {
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
  readonly #queue = new WorkspaceTurns<Entry>();
  readonly #paces = new Paces();
  /** Jobs that are not settled, by the id of their request. */
  readonly #entries = new Map<number, Entry>();
  readonly #workers = new Set<Worker>();
  #ticker: ReturnType<typeof setInterval> | null = null;
  #lastTick = 0;
  #paused = false;
  #failedStarts = 0;
  #limited = true;
  /** A request that moves gets another number, so an answer always belongs to one sending. */
  #lastSent = 0;
  /** The first that came; and whether others came. */
  #workspace: string | null = null;
  #hasOthers = false;
  #flushing = false;
  /** Whether jobs wait for a turn of the event loop. */
  #waitsForTurn = false;
  #closed = false;

  constructor(options: LaneOptions) {
    this.#options = options;
  }

  /** Queues a job; those of one tick travel together. */
  submit(job: Job): void {
    const { id } = job.request;
    this.#workspace ??= job.workspace;
    this.#hasOthers ||= job.workspace !== this.#workspace;
    const entry: Entry = {
      ...job,
      settled: false,
      crashes: 0,
      onSettled: () => this.#entries.delete(id),
    };
    this.#entries.set(id, entry);
    this.#enqueue(entry);
    if (this.#closed) this.close();
    else this.#flushSoon();
  }

  /** Gives a job up; a process that runs it is killed. */
  abort(id: number): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    settle(entry, () => entry.reject(new ExpressionError('aborted', 'it was aborted')));
    const worker = [...this.#workers].find((each) => headOf(each) === entry);
    if (worker?.ready) this.#kill(worker);
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
    for (const entry of [...this.#entries.values()]) settle(entry, () => entry.reject(error));
    this.#queue.clear();
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
    const outgoing = new Outgoing();
    const wasSlow = (workspace: string) => this.#paces.isSlow(workspace);
    const limits = placementLimits(this.#options, this.#workers, this.#hasOthers, wasSlow);
    const place = (workspace: string) => workerFor(workspace, this.#workers, limits);
    while (!this.#waitsForTurn) {
      const entry = this.#queue.pop((workspace) => place(workspace) !== null);
      if (entry === undefined) break;
      if (entry.settled) continue;
      const worker = place(entry.workspace)!;
      const id = ++this.#lastSent;
      const frame = frameOf(entry, id);
      if (frame === null) continue;
      if (worker.running.size === 0) beginHead(worker);
      worker.running.set(id, entry);
      outgoing.add(worker.process, frame);
      if (outgoing.isFull) void this.#goOnInTurn();
    }
    outgoing.send();
    this.#growIfBusy();
    this.#keepTicking();
  }

  /** Others get their turn between large jobs. */
  async #goOnInTurn(): Promise<void> {
    this.#waitsForTurn = true;
    await turns.next();
    this.#waitsForTurn = false;
    this.#dispatch();
  }

  /** @param first it was in line before */
  #enqueue(entry: Entry, first = false): void {
    this.#queue.push(entry.workspace, entry.execution, entry, first);
  }

  #growIfBusy(): void {
    const live = this.#live;
    if (live.some((worker) => !worker.ready)) return;
    const { size } = this.#options;
    const areStalled = live.every((worker) => worker.stalled);
    const busy = areStalled || live.every((worker) => worker.running.size >= SHARE_FROM);
    const wanted = this.#queue.size > 0 || (busy && live.length > 0);
    const limit = areStalled && this.#hasOthers ? Math.max(2 * size, size + 2) : this.#usual;
    if (wanted && live.length < limit) this.#start();
  }

  get #live(): Worker[] {
    return [...this.#workers].filter(({ retired }) => !retired);
  }

  /** Processes that there may be when not all of them are held up. Slow code waits until there are two. */
  get #usual(): number {
    const least = this.#hasOthers && this.#queue.size > 0 ? 2 : 1;
    return Math.max(least, this.#options.size) + (this.#live.some(({ stalled }) => stalled) ? 1 : 0);
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
      this.#paces.record(entry.workspace, header.cpuMs);
      settle(entry, () => answer(entry, header, body));
      if (header.tired) worker.retired = true;
    }
    this.#retireIfDone(worker);
    this.#flushSoon();
  }

  #onReady(worker: Worker): void {
    worker.ready = true;
    this.#failedStarts = 0;
    this.#retireIfDone(worker);
    this.#flushSoon();
  }

  /** Ends a process that is worn out, or that there is more of than usual, when it has no more work. */
  #retireIfDone(worker: Worker): void {
    if (worker.retired) this.#retire(worker);
    if (this.#queue.size > 0) return;
    for (const idle of this.#live) {
      if (this.#live.length <= this.#usual) return;
      if (idle.ready) this.#retire(idle);
    }
  }

  #retire(worker: Worker): void {
    if (worker.running.size > 0) return;
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
    for (const entry of this.#queue.clear()) settle(entry, () => entry.reject(error));
  }

  #requeue(entries: readonly Entry[]): void {
    for (const entry of entries.toReversed()) if (!entry.settled) this.#enqueue(entry, true);
    this.#flushSoon();
  }

  #keepTicking(): void {
    const idle = this.#queue.size === 0 && [...this.#workers].every(({ running }) => running.size === 0);
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
    const head = headOf(worker);
    if (head !== undefined) this.#paces.record(head.workspace, performance.now() - worker.headSince);
    worker.retired = true;
    this.#workers.delete(worker);
    worker.process.kill();
    this.#requeue([...worker.running.values()]);
  }
}
