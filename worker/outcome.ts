/**
 * Turns the outcome of an attempt into an event: parked, refused by its guard, or failed.
 */
import type { Event, StepError } from '../core/event.ts';
import type { JsonObject } from '../core/json/json.ts';
import { next } from '../core/next.ts';
import { INSTANT_ACCEPTED, parseInstant } from '../core/time/instant.ts';
import { ExpressionError } from '../expression/expression-error.ts';
import { NotStorable, type OutputStore } from '../payload/output-store.ts';
import { InputsTooLarge } from '../payload/payload-reader.ts';
import { type Parked, StepFailure } from '../steps/step-type.ts';
import type { CompiledStep } from '../template/version.ts';
import type { Admission } from './admission.ts';
import type { Attempt } from './attempt.ts';
import { messageOf } from './hosts/wire.ts';

type ParkEvent = Extract<Event, { type: 'park' }>;

export class ParkOutcome {
  readonly event: ParkEvent;

  constructor(event: ParkEvent) {
    this.event = event;
  }
}

export class GuardFailure extends Error {
  readonly reason: unknown;

  constructor(reason: unknown) {
    super('guard');
    this.reason = reason;
  }
}

/** The gate has evaluated the guard before it asked for a start: guards are evaluated once. */
export function passesGate(admission: Admission): boolean {
  if (typeof admission === 'object') throw new GuardFailure(admission.error);
  return admission === 'pass';
}

export function checkParams(compiled: CompiledStep, params: JsonObject): JsonObject {
  const problems = compiled.validateParams!(params);
  if (problems.length === 0) return params;
  const [first] = problems;
  const where = first!.pointer === '' ? 'The parameters' : `Parameter ${first!.pointer}`;
  throw new StepFailure('invalid_params', `${where}: ${first!.message}`, {
    details: problems.map(({ pointer, message }) => ({ pointer, message })),
  });
}

/** Adds the reason when an output cannot be stored because the step passes on all its inputs. */
export function explained(error: unknown, { type, step }: CompiledStep): unknown {
  if (!(error instanceof NotStorable) || !type.passesInputs?.(step.with)) return error;
  const why = 'It is all that arrived, which is nested at every join';
  return new NotStorable(
    `${error.message} ${why}: give noop steps before it "with: {}", or what is read of them.`,
  );
}

/** Thrown errors are retryable by default; failed expressions and values that cannot be stored never are. */
export function toFailure(error: unknown, attempt: Attempt): StepFailure {
  if (error instanceof StepFailure) return error;
  if (attempt.abortReason !== null) return attempt.abortReason;
  if (error instanceof ExpressionError || error instanceof NotStorable) {
    // Only a sandbox that could not be started may succeed the next time.
    const retryable = error.code === 'sandbox_unavailable';
    return new StepFailure(error.code, error.message, { retryable, cause: error });
  }
  if (error instanceof InputsTooLarge) {
    const { code, message, details } = error;
    return new StepFailure(code, message, { details, cause: error });
  }
  return new StepFailure('handler_failed', messageOf(error), { retryable: true, cause: error });
}

/** The signal is created only when a sandboxed evaluation reads it. */
export function callOptions(attempt: Attempt, workspace: string | null) {
  return {
    workspace,
    get signal() {
      return attempt.signal;
    },
  };
}

const MAX_MESSAGE_LENGTH = 10_000;
const MAX_CODE_LENGTH = 200;
/** About 9,500 years: added to the current time, still within PostgreSQL's range. */
const LONGEST_PAUSE_MS = 3e14;

const NO_INSTANT = `The handler asked to wait until what is not ${INSTANT_ACCEPTED}.`;
const NO_PAUSE = 'The handler asked to wait for what is no number of milliseconds, or too many of them.';

/** Returns the park event of a handler that paused its step. */
export function parkOutcome(
  attempt: Attempt,
  { forMs: span, until, state }: Parked,
  msUntil: (instant: string) => Promise<number>,
): ParkOutcome | Promise<ParkOutcome> {
  if (until !== null && parseInstant(String(until)) === null)
    throw new StepFailure('invalid_pause', NO_INSTANT);
  const waiting = until === null ? span! : attempt.untimed(msUntil(until));
  return next(waiting, (given) => {
    const forMs = pauseOf(given);
    if (forMs === null) throw new StepFailure('invalid_pause', NO_PAUSE);
    const { slot, claim, timeoutLeftMs } = attempt;
    const timeoutMs = timeoutLeftMs === null ? null : Math.max(0, timeoutLeftMs);
    return new ParkOutcome({ type: 'park', slot, claim, forMs, state, timeoutMs, waitingFor: null });
  });
}

/** Returns a handler's pause in milliseconds; null: it cannot be added to a time in the database. */
export function pauseOf(given: unknown): number | null {
  return typeof given === 'number' && given <= LONGEST_PAUSE_MS ? Math.max(0, given) : null;
}

/** Returns the event to store for a step that parks: its state is masked like an output. @throws NotStorable */
export function storedPark(store: OutputStore, { event }: ParkOutcome): Event {
  return event.state === null ? event : { ...event, state: store.payload(event.state).value };
}

/**
 * Returns the failure to store: masked, and replaced where it cannot be stored. Handlers may give any value for a
 * text.
 */
export function storedError(store: OutputStore, { code: given, message, details }: StepFailure): StepError {
  const text = store.text(String(message ?? ''), MAX_MESSAGE_LENGTH);
  const code = store.text(String(given ?? ''), MAX_CODE_LENGTH) || 'handler_failed';
  try {
    return { code, message: text, details: store.payload(details).value };
  } catch {
    return { code, message: text, details: null };
  }
}
