/**
 * Whether more starts are taken: a bound on the executions that line up in the database, and on the starts that wait
 * in this process.
 *
 * Nothing is counted per start. The backlog is what the database said last, and what this process has added since. It
 * is asked at most every tenth of a second, only while starts come in, and for at most a twentieth of the time; the
 * question is bounded by the limit. So it is right to within what other engines and main servers add between two
 * questions, and one request.
 *
 * Invariant: every place that was taken is given back, whatever becomes of the start.
 */
import { EngineError } from '../core/problem.ts';

export type StartRefusal = 'backlog' | 'process';

export interface StartGateOptions {
  /** Most pending executions. */
  readonly maxBacklog: number;
  /** Most starts that wait in this process. */
  readonly maxWaiting: number;
  /** Pending executions there are, counted no further than `most`. */
  count(most: number): Promise<number>;
  onRefused(reason: StartRefusal, starts: number): void;
  /** Milliseconds of a clock that never goes back; default the process's. */
  now?: () => number;
}

/** Between two questions, while there is room and when there is none. */
const CALM_MS = 1_000;
const FULL_MS = 100;
/** A question that took long is not asked again soon. */
const MAX_SHARE = 1 / 20;

export class StartGate {
  readonly #options: StartGateOptions;
  readonly #now: () => number;
  #waiting = 0;
  /** What the database said; null: it was not asked yet, or has not answered. */
  #counted: number | null = null;
  /** Executions this process has added to the backlog since. */
  #added = 0;
  /** Starts of this process that are on their way into the database. */
  #entering = 0;
  #counting: Promise<void> | null = null;
  #countedAt = Number.NEGATIVE_INFINITY;
  #countMs = 0;

  constructor(options: StartGateOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Lets starts wait in this process while `work` runs. @throws EngineError too_many_requests */
  async waitIn<T>(starts: number, work: () => Promise<T>): Promise<T> {
    const { maxWaiting } = this.#options;
    // Alone it always fits, however small the bound.
    if (this.#waiting > 0 && this.#waiting + starts > maxWaiting) {
      this.#refuse(
        'process',
        starts,
        `${this.#waiting} starts wait in this engine, which takes ${maxWaiting} at a time`,
      );
    }
    this.#waiting += starts;
    try {
      return await work();
    } finally {
      this.#waiting -= starts;
    }
  }

  /**
   * Lets new executions into the database while `insert` runs, which answers how many of them line up there.
   * @throws EngineError too_many_requests when the backlog is full
   */
  async enter(starts: number, insert: () => Promise<number>): Promise<void> {
    const { maxBacklog } = this.#options;
    await this.#askWhenDue();
    if (this.#backlog >= maxBacklog) {
      this.#refuse(
        'backlog',
        starts,
        `${this.#backlog} executions are pending, and the limit is ${maxBacklog} (EXECUTION_ENGINE_MAX_BACKLOG)`,
      );
    }
    this.#entering += starts;
    try {
      const lined = await insert();
      this.#added += lined;
    } finally {
      this.#entering -= starts;
    }
  }

  get #backlog(): number {
    return (this.#counted ?? 0) + this.#added + this.#entering;
  }

  /** Waits for the answer only where it decides: at the first start, and when there is no room. */
  async #askWhenDue(): Promise<void> {
    const isFull = this.#backlog >= this.#options.maxBacklog;
    const pauseMs = Math.max(isFull ? FULL_MS : CALM_MS, this.#countMs / MAX_SHARE);
    if (this.#counting === null && this.#now() - this.#countedAt >= pauseMs) {
      this.#counting = this.#ask().finally(() => {
        this.#counting = null;
      });
    }
    if (this.#counted === null || isFull) await this.#counting;
  }

  async #ask(): Promise<void> {
    const begunAt = this.#now();
    const addedBefore = this.#added;
    try {
      this.#counted = await this.#options.count(this.#options.maxBacklog);
      // What was added meanwhile may or may not have been seen: better to count it twice.
      this.#added -= addedBefore;
    } catch {
      // Whatever keeps the database from answering, the start itself will meet.
    } finally {
      this.#countedAt = this.#now();
      this.#countMs = this.#countedAt - begunAt;
    }
  }

  #refuse(reason: StartRefusal, starts: number, because: string): never {
    this.#options.onRefused(reason, starts);
    throw new EngineError('too_many_requests', `Nothing was started: ${because}. Try again later.`);
  }
}
