/**
 * Turns the outcome of an attempt into its event for the door: checked and masked, as it will be stored.
 */
import type { Event, StepError } from '../core/event.ts';
import { next } from '../core/next.ts';
import { INSTANT_ACCEPTED, parseInstant } from '../core/time/instant.ts';
import { JsonPayload } from '../payload/json-payload.ts';
import type { OutputStore } from '../payload/output-store.ts';
import { type Pause, StepFailure } from '../steps/step-type.ts';
import type { Attempt } from './attempt.ts';
import type { Failed, Outcome } from './outcome.ts';

export interface EventSource {
  readonly store: OutputStore;
  /** Milliseconds until an instant by the database's clock; negative when it has passed. */
  msUntil(instant: string): Promise<number>;
}

/** @throws NotStorable, and StepFailure for a pause that is none */
export function eventOf(
  outcome: Exclude<Outcome, Failed>,
  attempt: Attempt,
  source: EventSource,
): Event | Promise<Event> {
  const { store } = source;
  const { slot, claim } = attempt;
  switch (outcome.kind) {
    case 'completed': {
      const routes = outcome.routes === null ? null : store.routes(outcome.routes);
      const output = outcome.output instanceof JsonPayload ? outcome.output : store.payload(outcome.output);
      return { type: 'complete', slot, claim, output, routes };
    }
    case 'parked':
      return parkEvent(outcome, attempt, source);
    case 'skipped':
      return { type: 'skip', slot, claim };
    case 'lost':
      return { type: outcome.event, slot, claim };
  }
}

export function failEvent({ failure, begun }: Failed, attempt: Attempt, store: OutputStore): Event {
  return {
    type: 'fail',
    slot: attempt.slot,
    claim: attempt.claim,
    error: storedError(store, failure),
    // Without an attempt there is nothing to retry.
    retryable: failure.retryable && begun,
    retryAfterMs: checkedPause(failure.retryAfterMs),
    begun,
    random: Math.random(),
    ranMs: performance.now() - attempt.startedAt,
  };
}

const MAX_MESSAGE_LENGTH = 10_000;
const MAX_CODE_LENGTH = 200;
/** About 9,500 years: added to the current time, still within PostgreSQL's range. */
const MAX_PAUSE_MS = 3e14;

const NO_INSTANT = `The handler asked to wait until what is not ${INSTANT_ACCEPTED}.`;
const NO_PAUSE = 'The handler asked to wait for what is no number of milliseconds, or too many of them.';

function parkEvent(
  { pause, state }: Extract<Outcome, { kind: 'parked' }>,
  attempt: Attempt,
  { store, msUntil }: EventSource,
): Event | Promise<Event> {
  return next(pauseMs(pause, attempt, msUntil), (given) => {
    const forMs = checkedPause(given);
    if (forMs === null) throw new StepFailure('invalid_pause', NO_PAUSE);
    const { slot, claim, timeoutLeftMs } = attempt;
    const timeoutMs = timeoutLeftMs === null ? null : Math.max(0, timeoutLeftMs);
    const stored = state === null ? null : store.payload(state).value;
    return { type: 'park', slot, claim, forMs, state: stored, timeoutMs, waitingFor: null };
  });
}

/** The database's clock measures the time until an instant, since it also wakes the step. */
function pauseMs(pause: Pause, attempt: Attempt, msUntil: EventSource['msUntil']): number | Promise<number> {
  if (!('until' in pause)) return pause.forMs;
  const { until } = pause;
  if (parseInstant(String(until)) === null) throw new StepFailure('invalid_pause', NO_INSTANT);
  return attempt.untimed(msUntil(until));
}

/** Returns a handler's pause in milliseconds; null: it cannot be added to a time in the database. */
function checkedPause(given: unknown): number | null {
  return typeof given === 'number' && given <= MAX_PAUSE_MS ? Math.max(0, given) : null;
}

/** Handlers may give any value for a text. Details that cannot be stored are left out. */
function storedError(store: OutputStore, { code: given, message, details }: StepFailure): StepError {
  const text = store.text(String(message ?? ''), MAX_MESSAGE_LENGTH);
  const code = store.text(String(given ?? ''), MAX_CODE_LENGTH) || 'handler_failed';
  try {
    return { code, message: text, details: store.payload(details).value };
  } catch {
    return { code, message: text, details: null };
  }
}
