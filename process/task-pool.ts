/**
 * A pool of processes that do one task each at a time, with bounds on the processor time and the memory of a task. It
 * keeps slow work off the event loop.
 *
 * Processes are started when there is work and ended when there has been none for a while.
 *
 * Invariant 1: every task is settled once, whatever the processes do.
 * Invariant 2: a process that goes over a bound is killed, and its task fails; no other task does.
 */
import { encodeFrame, type Frame } from './frame.ts';
import { FramedProcess } from './framed-process.ts';
import { cpuMs, memoryBytes } from './process-usage.ts';
import { TaskQueue } from './task-queue.ts';

export interface TaskPoolOptions {
  readonly command: string;
  readonly args: readonly string[];
  /** Most processes. */
  readonly size: number;
  /** The first frame sent to a process; it answers `ready`, or `broken` with a message. */
  readonly setup: object;
  /** Limit for the resident memory of a process. */
  readonly maxMemoryBytes: number;
  readonly maxAnswerBytes: number;
  /** Most tasks waiting. */
  readonly maxWaiting: number;
  /** Called for output of a process beside its answers. */
  onOutput?(text: string): void;
}

export interface Task {
  readonly header: object;
  readonly body: string | Uint8Array;
  /** Owner of the task; owners take turns. */
  readonly owner: string;
  /** Limit for the processor time of the task. */
  readonly maxMs: number;
}

/** `died`: twice, for an unknown reason; `unusable`: no process can be started here. */
export type TaskFailure = 'time' | 'memory' | 'died' | 'busy' | 'unusable' | 'closed';

export class TaskFailed extends Error {
  readonly reason: TaskFailure;

  constructor(reason: TaskFailure, message: string) {
    super(message);
    this.name = 'TaskFailed';
    this.reason = reason;
  }
}

/** The header of a frame from a process. */
interface Answer {
  readonly kind: 'ready' | 'broken' | 'done';
  readonly message?: string;
}

interface Entry extends Task {
  deaths: number;
  resolve(answer: Frame<Answer>): void;
  reject(error: TaskFailed): void;
}

interface Member {
  readonly process: FramedProcess<Answer>;
  state: 'starting' | 'idle' | 'busy' | 'killed';
  entry: Entry | null;
  /** Start of its current work, and the processor time it had used by then; null: unknown. */
  since: number;
  cpuSince: number | null;
}

const TICK_MS = 50;
const IDLE_MS = 30_000;
const START_MS = 60_000;
const MAX_DEATHS = 2;
const MAX_FAILED_STARTS = 3;
/** Wall time allowed, as a multiple of `maxMs`, for a process that gets little processor time. */
const STARVED_FACTOR = 10;
/** An idle process above this share of its memory limit is not used again. */
const TIRED_SHARE = 0.5;

export class TaskPool {
  readonly #options: TaskPoolOptions;
  readonly #queue: TaskQueue<Entry>;
  readonly #members = new Set<Member>();
  #ticker: ReturnType<typeof setInterval> | null = null;
  #failedStarts = 0;
  #closed = false;

  constructor(options: TaskPoolOptions) {
    this.#options = options;
    this.#queue = new TaskQueue(options.size);
  }

  /** Returns the answer of a process. @throws TaskFailed */
  run<H extends object>(task: Task): Promise<Frame<H>> {
    if (this.#closed) return Promise.reject(new TaskFailed('closed', 'the engine is stopping'));
    if (this.#queue.size >= this.#options.maxWaiting) {
      const message = `${this.#queue.size} tasks are in line, and ${this.#options.maxWaiting} may be`;
      return Promise.reject(new TaskFailed('busy', message));
    }
    const { promise, resolve, reject } = Promise.withResolvers<Frame<Answer>>();
    this.#queue.add({ ...task, deaths: 0, resolve, reject });
    this.#goOn();
    return promise as unknown as Promise<Frame<H>>;
  }

  processIds(): number[] {
    return [...this.#members].flatMap(({ process: { pid } }) => (pid === null ? [] : [pid]));
  }

  close(): void {
    this.#closed = true;
    const error = new TaskFailed('closed', 'the engine is stopping');
    for (const entry of this.#queue.clear()) entry.reject(error);
    for (const member of this.#members) {
      member.entry?.reject(error);
      member.entry = null;
      this.#kill(member);
    }
    this.#stopTicking();
  }

  #goOn(): void {
    if (this.#closed) return;
    for (const member of this.#members) {
      if (member.state !== 'idle') continue;
      const entry = this.#queue.take();
      if (entry === null) break;
      this.#begin(member, entry);
    }
    const isStarting = [...this.#members].some(({ state }) => state === 'starting');
    if (this.#queue.hasNext && !isStarting && this.#members.size < this.#options.size) this.#start();
    if (this.#members.size > 0) this.#keepTicking();
  }

  #begin(member: Member, entry: Entry): void {
    member.state = 'busy';
    member.entry = entry;
    member.since = performance.now();
    member.cpuSince = cpuMs(member.process.pid);
    member.process.write([encodeFrame(entry.header, entry.body)]);
  }

  #start(): void {
    const { command, args, maxAnswerBytes, setup, onOutput } = this.#options;
    try {
      const process = new FramedProcess<Answer>({
        command,
        args,
        channel: 'extra',
        maxFrameBytes: maxAnswerBytes,
        onFrame: (frame) => this.#onFrame(member, frame),
        onOutput: (text) => onOutput?.(text),
        onClose: () => this.#onClose(member),
      });
      const since = performance.now();
      const member: Member = { process, state: 'starting', entry: null, since, cpuSince: null };
      this.#members.add(member);
      process.write([encodeFrame(setup)]);
    } catch (error) {
      this.#onFailedStart(String(error));
    }
  }

  #onFrame(member: Member, frame: Frame<Answer>): void {
    const { kind, message } = frame.header;
    if (kind === 'broken') {
      this.#kill(member);
      this.#giveUp(message ?? 'it says no more');
      return;
    }
    this.#failedStarts = 0;
    const { entry } = member;
    if (member.state === 'killed') return;
    member.state = 'idle';
    member.entry = null;
    member.since = performance.now();
    if (entry !== null) {
      this.#queue.ended(entry);
      entry.resolve(frame);
      if (this.#memoryOf(member) > this.#options.maxMemoryBytes * TIRED_SHARE) this.#kill(member);
    }
    this.#goOn();
  }

  #onClose(member: Member): void {
    this.#members.delete(member);
    const { entry, state } = member;
    member.entry = null;
    if (entry !== null) this.#again(entry);
    if (state === 'starting') this.#onFailedStart('its process ended before it was ready');
    else this.#goOn();
    if (this.#members.size === 0) this.#stopTicking();
  }

  /** Retries the task of a process that died by itself. */
  #again(entry: Entry): void {
    this.#queue.ended(entry);
    entry.deaths += 1;
    if (entry.deaths < MAX_DEATHS && !this.#closed) this.#queue.add(entry, true);
    else entry.reject(new TaskFailed('died', 'the process that did it ended, twice'));
  }

  #onFailedStart(reason: string): void {
    this.#failedStarts += 1;
    if (this.#failedStarts >= MAX_FAILED_STARTS) this.#giveUp(reason);
    else this.#goOn();
  }

  #giveUp(reason: string): void {
    this.#failedStarts = 0;
    const error = new TaskFailed('unusable', `no process can be started for it: ${reason}`);
    for (const entry of this.#queue.clear()) entry.reject(error);
  }

  #keepTicking(): void {
    this.#ticker ??= setInterval(() => this.#tick(), TICK_MS).unref();
  }

  #stopTicking(): void {
    if (this.#ticker !== null) clearInterval(this.#ticker);
    this.#ticker = null;
  }

  #tick(): void {
    const now = performance.now();
    for (const member of this.#members) {
      const age = now - member.since;
      if (member.state === 'idle' && age > IDLE_MS) this.#kill(member);
      if (member.state === 'starting' && age > START_MS) this.#kill(member);
      if (member.state === 'busy') this.#watch(member, member.entry!, age);
    }
  }

  #watch(member: Member, entry: Entry, age: number): void {
    const { maxMemoryBytes } = this.#options;
    if (this.#memoryOf(member) > maxMemoryBytes) {
      this.#end(member, entry, 'memory', `it took more than ${maxMemoryBytes >> 20} MiB of memory`);
    } else if (isOverdue(member, entry, age)) {
      this.#end(member, entry, 'time', `it took more than ${entry.maxMs} ms`);
    }
  }

  #memoryOf({ process }: Member): number {
    return memoryBytes(process.pid)?.resident ?? 0;
  }

  #end(member: Member, entry: Entry, reason: TaskFailure, message: string): void {
    member.entry = null;
    this.#queue.ended(entry);
    this.#kill(member);
    entry.reject(new TaskFailed(reason, message));
  }

  #kill(member: Member): void {
    member.state = 'killed';
    member.process.kill();
  }
}

function isOverdue({ process, cpuSince }: Member, { maxMs }: Entry, age: number): boolean {
  if (age < maxMs) return false;
  if (age > maxMs * STARVED_FACTOR) return true;
  const now = cpuMs(process.pid);
  // Usage unknown: only the clock decides.
  return now === null || cpuSince === null || now - cpuSince >= maxMs;
}
