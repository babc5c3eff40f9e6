/**
 * Limits starts: bounds the pending executions in the database, and the starts that wait in this process.
 *
 * The backlog is estimated without a query per start: the last count by the database, plus the executions added by
 * this process since. The database is asked at most every tenth of a second, only while starts come in, and for at
 * most a twentieth of the time; the count stops at the limit. So the estimate is off by at most the executions that
 * other engines and main servers add between two counts, and by one request.
 *
 * Invariant: every place is given back, whether the start succeeds or fails.
 */
import { EngineError } from '../core/problem.ts';

export type StartRefusal = 'backlog' | 'process';

export interface StartGateOptions {
  /** Most pending executions. */
  readonly maxBacklog: number;
  /** Most starts that wait in this process. */
  readonly maxWaiting: number;
  /** Returns the number of pending executions, counted up to `most`. */
  count(most: number): Promise<number>;
  onRefused(reason: StartRefusal, starts: number): void;
  /** Returns milliseconds of a monotonic clock; default the process's. */
  now?: () => number;
}

/** Interval of counts, while there is room and when there is none. */
const CALM_MS = 1_000;
const FULL_MS = 100;
/** Most time spent counting, as a share: a slow count is repeated later. */
const MAX_SHARE = 1 / 20;

export class StartGate {
  readonly #options: StartGateOptions;
  readonly #now: () => number;
  #waiting = 0;
  /** The database's last count; null: none yet. */
  #counted: number | null = null;
  /** Executions that this process has added to the backlog since. */
  #added = 0;
  /** Starts of this process that are being inserted. */
  #entering = 0;
  #counting: Promise<void> | null = null;
  #countedAt = Number.NEGATIVE_INFINITY;
  #countMs = 0;

  constructor(options: StartGateOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Runs `work`, whose starts wait in this process. @throws EngineError too_many_requests */
  async waitIn<T>(starts: number, work: () => Promise<T>): Promise<T> {
    const { maxWaiting } = this.#options;
    // A request that is alone always fits, however small the bound.
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
   * Runs `insert`, which adds executions to the database and returns how many of them are pending there.
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

  /** Waits for the count only where it decides: at the first start, and when there is no room. */
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
      // Executions added during the count may be missing in it: counting them twice is safer.
      this.#added -= addedBefore;
    } catch {
      // The start itself will meet the error.
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
