/**
 * The end of an attempt: its outcome becomes an event, which is posted at the door.
 *
 * Invariant: at most one event is posted for an attempt. Outcomes that come after its end are counted, and refused.
 */
import type { Event } from '../core/event.ts';
import { next } from '../core/next.ts';
import type { ViewKey } from '../core/view.ts';
import type { StepFailure } from '../steps/step-type.ts';
import type { Log } from '../telemetry/log.ts';
import type { CompiledStep } from '../template/version.ts';
import type { Attempt } from './attempt.ts';
import { explained, failedBy } from './failure.ts';
import type { Failed, Outcome } from './outcome.ts';
import { type EventSource, eventOf, failEvent } from './outcome-event.ts';
import { logThrown } from './thrown.ts';

export interface AttemptEndOptions extends EventSource {
  readonly log: Log;
  post(key: ViewKey, event: Event): void;
  /** A handler has ended, with any outcome. */
  finished(type: string, durationMs: number): void;
  /** A handler returned a result for an attempt that was over. */
  refused(): void;
}

/** An attempt and its step. */
export interface SteppedAttempt {
  readonly attempt: Attempt;
  readonly compiled: CompiledStep;
}

export class AttemptEnd {
  readonly #options: AttemptEndOptions;

  constructor(options: AttemptEndOptions) {
    this.#options = options;
  }

  end(of: SteppedAttempt, outcome: Outcome): void {
    const { attempt } = of;
    if (outcome.kind === 'failed') this.#fail(of, outcome);
    else if (attempt.isDone) this.#options.refused();
    else this.#keep(of, outcome);
  }

  /** Written without a callback where there is nothing to wait for: it runs for each attempt. */
  #keep(of: SteppedAttempt, outcome: Exclude<Outcome, Failed>): void {
    const { attempt, compiled } = of;
    let event: Event | Promise<Event>;
    try {
      event = eventOf(outcome, attempt, this.#options, compiled.type.waitsFor);
    } catch (thrown) {
      this.#refuse(of, thrown);
      return;
    }
    if (!(event instanceof Promise)) this.#post(of, event);
    else
      event.then(
        (stored) => this.#post(of, stored),
        (thrown) => this.#refuse(of, thrown),
      );
  }

  /** An outcome that cannot be stored. */
  #refuse(of: SteppedAttempt, thrown: unknown): void {
    this.#fail(of, failedBy(explained(thrown, of.compiled), of.attempt));
  }

  #fail(of: SteppedAttempt, failed: Failed): void {
    const { log, store, refused } = this.#options;
    const { attempt, compiled } = of;
    // A handler that gave up for the given reason has no result.
    const gaveUp = isReason(failed.failure, attempt.abortReason);
    if (attempt.isDone) {
      if (!gaveUp) refused();
      return;
    }
    if (attempt.hasLost && gaveUp) {
      attempt.finish();
      return;
    }
    logThrown(log, compiled.step, attempt, failed.thrown);
    void next(failEvent(failed, attempt, store), (event) => this.#post(of, event));
  }

  #post({ attempt, compiled }: SteppedAttempt, event: Event): void {
    const { post, finished, refused } = this.#options;
    // The attempt may have ended while the database was asked for the time, or a large value was masked.
    if (!attempt.finish()) {
      refused();
      return;
    }
    finished(compiled.step.type, performance.now() - attempt.startedAt);
    const { log } = attempt;
    post(attempt.view, log === null ? event : ({ ...event, logs: log.payload() } as Event));
  }
}

/** Returns whether a failure is the reason for which its attempt was aborted; step hosts give a copy of it. */
function isReason({ code, message }: StepFailure, reason: StepFailure | null): boolean {
  return reason !== null && code === reason.code && message === reason.message;
}
