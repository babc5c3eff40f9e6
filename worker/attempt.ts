/**
 * One attempt at a step in this process: its signal, and whether its outcome is still wanted.
 *
 * Invariant: `finish` runs once; anything the handler does afterwards is ignored.
 */
import { idempotencyKey } from '../core/control/idempotency-key.ts';
import type { Claim } from '../core/event.ts';
import type { ViewKey } from '../core/view.ts';
import { StepFailure } from '../steps/step-type.ts';
import type { Admission } from './admission.ts';
import type { AttemptLog } from './attempt-log.ts';
import { Countdown } from './countdown.ts';
import { heartbeatPauseMs } from './hosts/wire.ts';

/** The process that runs the handler, when it is a separate one. */
export interface Remote {
  /** Tells the handler to end. */
  aborted(reason: StepFailure): void;
  /** The handler's outcome is no longer wanted. */
  finished(): void;
  /** Asks the handler's process for a sign of life. */
  ping(): void;
  /** Returns whether its process owes that sign, and another handler in it may be the cause. */
  isHeldUp(): boolean;
}

/** The execution of an attempt, as named to handlers and in the log. */
export interface NamedExecution {
  readonly id: string;
  readonly template: string;
  readonly version: number;
}

export class Attempt {
  readonly execution: NamedExecution;
  /** The view that the step is in. */
  readonly view: ViewKey;
  readonly slot: number;
  readonly stepId: string;
  readonly claim: Claim;
  /** Start of the attempt in this process, in milliseconds of performance.now(). */
  readonly startedAt = performance.now();
  /** Result of the limit gate's checks; null: the step has no limits. */
  admission: Admission | null = null;
  /** How often the step's process has died before. */
  readonly crashes: number;
  /** Whether a join may fire without the step and cancel it. */
  mayLose = false;
  /** 0 until the step has completed and was reset. */
  keyNumber = 0;
  /** Whether it is of a compensation, which goes on where its execution winds down. */
  undoes = false;
  /** What its handler has logged; null: nothing so far. */
  log: AttemptLog | null = null;
  /** Null: the handler runs in this process. */
  remote: Remote | null = null;
  readonly #onDone: (attempt: Attempt) => void;
  #controller: AbortController | null = null;
  #reason: StepFailure | null = null;
  /** Timeout of the whole attempt; null: none. */
  #timeout: Countdown | null = null;
  /** Time from one heartbeat to the next; null: none are expected. */
  #silence: Countdown | null = null;
  #done = false;
  #hasLost = false;

  constructor(
    execution: NamedExecution,
    { view, slot }: { readonly view: ViewKey; readonly slot: number },
    stepId: string,
    claim: Claim,
    crashes: number,
    onDone: (attempt: Attempt) => void,
  ) {
    this.execution = execution;
    this.view = view;
    this.slot = slot;
    this.stepId = stepId;
    this.claim = claim;
    this.crashes = crashes;
    this.#onDone = onDone;
  }

  get idempotencyKey(): string {
    return idempotencyKey(this.stepId, this.keyNumber);
  }

  get executionId(): string {
    return this.execution.id;
  }

  /** Whether its step has lost a race: its result is kept and does not count. */
  get hasLost(): boolean {
    return this.#hasLost;
  }

  get isDone(): boolean {
    return this.#done;
  }

  /** Created when a handler first asks for it: most never do. */
  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#reason !== null) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** Reason for which the attempt must end; null while still wanted. */
  get abortReason(): StepFailure | null {
    return this.#reason;
  }

  /** Milliseconds left of the step's own timeout; null: it has none. */
  get timeoutLeftMs(): number | null {
    return this.#timeout?.leftMs ?? null;
  }

  /** Calls back once, when the step's own timeout has passed. It is paused until `resumeTimeouts`. */
  armTimeout(timeoutMs: number, onTimeout: (reason: StepFailure) => void): void {
    const message = `The step did not finish within its timeout of ${timeoutMs} ms.`;
    this.#timeout = new Countdown(timeoutMs, () => this.#giveUp('timeout', message, onTimeout));
  }

  /** Resumes the attempt: its timeout has run since it was first parked. @throws StepFailure: the timeout has passed */
  limitTimeout(leftMs: number): void {
    if (leftMs > 0) this.#timeout?.limit(leftMs);
    else throw new StepFailure('timeout', 'The step did not finish within its timeout.', { retryable: true });
  }

  /** Calls back once, when a handler elsewhere has been silent for so long. Paused until `resumeTimeouts`. */
  armHeartbeat(timeoutMs: number, onSilence: (reason: StepFailure) => void): void {
    const message = `The step sent no heartbeat for ${timeoutMs} ms.`;
    const silence = new Countdown(timeoutMs + heartbeatPauseMs(timeoutMs), (lateMs) => {
      // A delay of this process may have delayed the handler's as well.
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

  /** Records a heartbeat of the handler. */
  beat(): void {
    this.#silence?.renew();
  }

  #giveUp(code: string, message: string, then: (reason: StepFailure) => void): void {
    const reason = new StepFailure(code, message, { retryable: true });
    this.abort(reason);
    then(reason);
  }

  /** Pauses the timeouts: the time from here on does not count for the step. */
  pauseTimeouts(): void {
    this.#timeout?.pause();
    this.#silence?.pause();
  }

  resumeTimeouts(): void {
    if (this.#done) return;
    this.#timeout?.resume();
    this.#silence?.resume();
  }

  /** Waits for the engine's own work with the timeouts paused, for example while the database is unavailable. */
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

  /** Stops the attempt: the handler is told, and its result still counts if it comes within the grace time. */
  stop(): void {
    this.abort(new StepFailure('stopped', 'The execution is being stopped.'));
  }

  /** The step was cancelled as the loser of a race: the handler is told, and its result is heard within the grace time. */
  lose(graceMs: number): void {
    if (this.#done || this.#hasLost) return;
    this.#hasLost = true;
    this.abort(
      new StepFailure('cancelled', 'The step is over: it was ended by hand, or a join fired without it.'),
    );
    this.pauseTimeouts();
    setTimeout(() => this.finish(), graceMs).unref();
  }

  /** Ends the attempt because its execution is over: the handler is told and its place is free at once. */
  drop(): void {
    this.abort(new StepFailure('cancelled', 'The execution has ended.'));
    this.finish();
  }

  /** Returns whether this was the first call: only the first outcome counts. */
  finish(): boolean {
    if (this.#done) return false;
    this.#done = true;
    this.pauseTimeouts();
    this.remote?.finished();
    this.#onDone(this);
    return true;
  }
}

/** Heartbeats may stay unread for a moment, and a sign of life takes its time. */
const UNREAD_MS = 50;
const LATE_MS = 1_000;
