/**
 * What comes out of an attempt, in the words of events: parked, refused by its guard, failed and how.
 */
import type { Event, StepError } from '../core/event.ts';
import type { JsonObject } from '../core/json.ts';
import { ExpressionError } from '../expression/expression-error.ts';
import { NotStorable, type OutputStore } from '../services/storable-output.ts';
import type { CompiledStep } from '../services/template-version.ts';
import { StepFailure } from '../steps/step-type.ts';
import type { Attempt } from './attempt.ts';
import type { Admission } from './limited-step.ts';
import { messageOf } from './step-host-wire.ts';

export class ParkOutcome {
  readonly event: Event;

  constructor(event: Event) {
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

/** Goes on at once when there is nothing to wait for. */
export function next<T, R>(value: T | Promise<T>, then: (value: T) => R | Promise<R>): R | Promise<R> {
  return value instanceof Promise ? value.then(then) : then(value);
}

/** The gate has asked the guard before it asked for a start: it is evaluated once. */
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

/** Thrown errors are retryable unless they say otherwise; expressions and values that cannot be stored never are. */
export function toFailure(error: unknown, attempt: Attempt): StepFailure {
  if (error instanceof StepFailure) return error;
  if (attempt.abortReason !== null) return attempt.abortReason;
  if (error instanceof ExpressionError || error instanceof NotStorable) {
    // Only a sandbox that could not be started may be there the next time.
    const retryable = error.code === 'sandbox_unavailable';
    return new StepFailure(error.code, error.message, { retryable, cause: error });
  }
  return new StepFailure('handler_failed', messageOf(error), { retryable: true, cause: error });
}

/** The signal is made only when a sandboxed evaluation asks for it. */
export function callOptions(attempt: Attempt) {
  return {
    get signal() {
      return attempt.signal;
    },
  };
}

/** What is stored of a failure: masked, and replaced where it cannot be stored. */
export function storedError(store: OutputStore, { code, message, details }: StepFailure): StepError {
  const text = store.text(message.replaceAll('\u0000', '').toWellFormed()).slice(0, 10_000);
  try {
    return { code, message: text, details: store.payload(details).value };
  } catch {
    return { code, message: text, details: null };
  }
}
