/**
 * One attempt at a step in this process: its signal, and whether anybody still wants its outcome.
 *
 * Invariant: `finish` runs once; what the handler does after it is nobody's business any more.
 */
import type { Claim } from '../core/event.ts';
import { StepFailure } from '../steps/step-type.ts';
import type { Admission } from './admission.ts';
import { Countdown } from './countdown.ts';
import { heartbeatPauseMs } from './hosts/wire.ts';

/** Who runs the handler elsewhere. */
export interface Remote {
  /** The handler is to end. */
  aborted(reason: StepFailure): void;
  /** Nobody wants the handler's outcome any more. */
  finished(): void;
  /** Asks its process for a sign of life. */
  ping(): void;
  /** Whether its process owes that sign, and another handler in it may be why. */
  isHeldUp(): boolean;
}

/** The execution of an attempt, as handlers and the log are told of it. */
export interface NamedExecution {
  readonly id: string;
  readonly template: string;
  readonly version: number;
}

export class Attempt {
  readonly execution: NamedExecution;
  readonly slot: number;
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
  /** Of the whole attempt; null: it has no timeout. */
  #timeout: Countdown | null = null;
  /** From one heartbeat to the next; null: none are expected. */
  #silence: Countdown | null = null;
  #done = false;

  constructor(
    execution: NamedExecution,
    slot: number,
    stepId: string,
    claim: Claim,
    crashes: number,
    onDone: (attempt: Attempt) => void,
  ) {
    this.execution = execution;
    this.slot = slot;
    this.stepId = stepId;
    this.claim = claim;
    this.crashes = crashes;
    this.#onDone = onDone;
  }

  get executionId(): string {
    return this.execution.id;
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

  /** What is left of the step's own timeout; null: it has none. */
  get timeoutLeftMs(): number | null {
    return this.#timeout?.leftMs ?? null;
  }

  /** Calls back once, when the step's own timeout is over. It stands still until `resumeTimeouts`. */
  armTimeout(timeoutMs: number, onTimeout: (reason: StepFailure) => void): void {
    const message = `The step did not finish within its timeout of ${timeoutMs} ms.`;
    this.#timeout = new Countdown(timeoutMs, () => this.#giveUp('timeout', message, onTimeout));
  }

  /** The attempt goes on: its timeout has run since it was parked first. @throws StepFailure: it is over */
  limitTimeout(leftMs: number): void {
    if (leftMs > 0) this.#timeout?.limit(leftMs);
    else throw new StepFailure('timeout', 'The step did not finish within its timeout.', { retryable: true });
  }

  /** Calls back once, when a handler that runs elsewhere has said nothing for so long. Stands still until `resumeTimeouts`. */
  armHeartbeat(timeoutMs: number, onSilence: (reason: StepFailure) => void): void {
    const message = `The step sent no heartbeat for ${timeoutMs} ms.`;
    const silence = new Countdown(timeoutMs + heartbeatPauseMs(timeoutMs), (lateMs) => {
      // What kept this process may have kept the handler's as well.
      if (lateMs > LATE_MS) silence.renew();
      else {
        this.remote?.ping();
        setTimeout(lookAgain, UNREAD_MS);
      }
    });
    const lookAgain = () => {
      if (this.#reason !== null || !silence.isOver) return;
      if (this.remote?.isHeldUp() === true) silence.renew();
      else this.#giveUp('heartbeat_timeout', message, onSilence);
    };
    this.#silence = silence;
  }

  /** The handler says that it is alive. */
  beat(): void {
    this.#silence?.renew();
  }

  #giveUp(code: string, message: string, then: (reason: StepFailure) => void): void {
    const reason = new StepFailure(code, message, { retryable: true });
    this.abort(reason);
    then(reason);
  }

  /** What passes from here on is not the step's time. */
  pauseTimeouts(): void {
    this.#timeout?.pause();
    this.#silence?.pause();
  }

  resumeTimeouts(): void {
    if (this.#done) return;
    this.#timeout?.resume();
    this.#silence?.resume();
  }

  /** Waits for what is the engine's affair and not the step's time, such as a database that is away for a while. */
  async untimed<T>(work: Promise<T>): Promise<T> {
    this.pauseTimeouts();
    try {
      return await work;
    } finally {
      this.resumeTimeouts();
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

  /** Returns whether this was the first call: only then does an outcome count. */
  finish(): boolean {
    if (this.#done) return false;
    this.#done = true;
    this.pauseTimeouts();
    this.remote?.finished();
    this.#onDone(this);
    return true;
  }
}

/** Heartbeats may lie unread for a moment, and a sign of life takes its time. */
const UNREAD_MS = 50;
const LATE_MS = 1_000;
