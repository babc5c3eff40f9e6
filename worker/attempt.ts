/**
 * One attempt at a step in this process: its signal, and whether anybody still wants its outcome.
 *
 * Invariant: `finish` runs once; what the handler does after it is nobody's business any more.
 */
import type { Claim } from '../core/event.ts';
import { StepFailure } from '../steps/step-type.ts';
import type { Admission } from './limited-step.ts';

/** Who runs the handler elsewhere. */
export interface Remote {
  /** The handler is to end. */
  aborted(reason: StepFailure): void;
  /** Nobody wants the handler's outcome any more. */
  finished(): void;
}

export class Attempt {
  readonly executionId: string;
  readonly position: number;
  readonly stepId: string;
  readonly claim: Claim;
  /** Milliseconds of performance.now() when the attempt began here. */
  readonly startedAt = performance.now();
  /** What the limit gate found when it let the step through; null: the step has no limits. */
  admission: Admission | null = null;
  /** How often the step's process had died before. */
  readonly crashes: number;
  /** Null: the handler runs in this process. */
  remote: Remote | null = null;
  readonly #onDone: (attempt: Attempt) => void;
  #controller: AbortController | null = null;
  #reason: StepFailure | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  /** Of performance.now(), with what is left of the timeout then and what follows; null: there is no timeout. */
  #timeout: { since: number; leftMs: number; readonly onOver: () => void } | null = null;
  #done = false;

  constructor(
    executionId: string,
    position: number,
    stepId: string,
    claim: Claim,
    crashes: number,
    onDone: (attempt: Attempt) => void,
  ) {
    this.executionId = executionId;
    this.position = position;
    this.stepId = stepId;
    this.claim = claim;
    this.crashes = crashes;
    this.#onDone = onDone;
  }

  get isDone(): boolean {
    return this.#done;
  }

  /** Made when a handler first asks for it: most never do. */
  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#reason !== null) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** Why the attempt is to end; null while it is welcome. */
  get abortReason(): StepFailure | null {
    return this.#reason;
  }

  /** Calls back once, when the step's own timeout is over. */
  armTimeout(timeoutMs: number, onTimeout: (reason: StepFailure) => void): void {
    const onOver = () => {
      const message = `The step did not finish within its timeout of ${timeoutMs} ms.`;
      const reason = new StepFailure('timeout', message, { retryable: true });
      this.abort(reason);
      onTimeout(reason);
    };
    this.#timeout = { since: performance.now(), leftMs: timeoutMs, onOver };
    this.resumeTimeout();
  }

  /** What passes from here on is not the step's time. */
  pauseTimeout(): void {
    if (this.#timer === null || this.#timeout === null) return;
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#timeout.leftMs -= performance.now() - this.#timeout.since;
  }

  resumeTimeout(): void {
    if (this.#timeout === null || this.#timer !== null || this.#done) return;
    this.#timeout.since = performance.now();
    const { leftMs, onOver } = this.#timeout;
    this.#timer = setTimeout(onOver, Math.max(0, Math.min(leftMs, LONGEST_TIMER_MS)));
  }

  /** Waits for what is the engine's affair and not the step's time, such as a database that is away for a while. */
  async untimed<T>(work: Promise<T>): Promise<T> {
    this.pauseTimeout();
    try {
      return await work;
    } finally {
      this.resumeTimeout();
    }
  }

  abort(reason: StepFailure): void {
    if (this.#reason !== null || this.#done) return;
    this.#reason = reason;
    this.#controller?.abort(reason);
    this.remote?.aborted(reason);
  }

  /** A stop: the handler is told, and what it gives back within the grace time still counts. */
  stop(): void {
    this.abort(new StepFailure('stopped', 'The execution is being stopped.'));
  }

  /** The execution is over: the handler is told and its slot is free at once. */
  drop(): void {
    this.abort(new StepFailure('cancelled', 'The execution has ended.'));
    this.finish();
  }

  /** Answers whether this was the first call: only then does an outcome count. */
  finish(): boolean {
    if (this.#done) return false;
    this.#done = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.remote?.finished();
    this.#onDone(this);
    return true;
  }
}

/** The most setTimeout takes: 2^31 - 1 ms. */
const LONGEST_TIMER_MS = 2_147_483_647;
