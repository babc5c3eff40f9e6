/**
 * Turns the outcome of an attempt into its event for the door: checked and masked, as it will be stored.
 */
import type { Event, WaitingFor, WaitKind } from '../core/event.ts';
import type { Json } from '../core/json/json.ts';
import { next } from '../core/next.ts';
import { INSTANT_ACCEPTED, parseInstant } from '../core/time/instant.ts';
import { JsonPayload } from '../payload/json-payload.ts';
import type { OutputStore } from '../payload/output-store.ts';
import { storedError } from '../payload/stored-error.ts';
import { type Pause, StepFailure } from '../steps/step-type.ts';
import type { Attempt } from './attempt.ts';
import { type ChildSource, childEvent } from './children/child-event.ts';
import { holdEvent } from './hold-event.ts';
import type { Failed, Outcome } from './outcome.ts';

export interface EventSource extends ChildSource {
  /** Milliseconds until an instant by the database's clock; negative when it has passed. */
  msUntil(instant: string): Promise<number>;
}

/**
 * @param waitsFor the kind of what the step's type may wait for
 * @throws NotStorable, and StepFailure for a pause that is none
 */
export function eventOf(
  outcome: Exclude<Outcome, Failed>,
  attempt: Attempt,
  source: EventSource,
  waitsFor: WaitKind | undefined,
): Event | Promise<Event> {
  const { store } = source;
  const { slot, claim } = attempt;
  switch (outcome.kind) {
    case 'completed': {
      const routes = outcome.routes === null ? null : store.routes(outcome.routes);
      const payload = outcome.output instanceof JsonPayload ? outcome.output : store.payload(outcome.output);
      return next(payload, (output) => ({ type: 'complete', slot, claim, output, routes }));
    }
    case 'parked':
      return parkEvent(outcome, attempt, source, waitsFor);
    case 'holding':
      return holdEvent(outcome, attempt, store);
    case 'child':
      return childEvent(outcome, attempt, source);
    case 'skipped':
      return { type: 'skip', slot, claim };
    case 'lost':
      return { type: outcome.event, slot, claim };
  }
}

export function failEvent(
  { failure, begun }: Failed,
  attempt: Attempt,
  store: OutputStore,
): Event | Promise<Event> {
  const ranMs = performance.now() - attempt.startedAt;
  return next(storedError(store, failure), (error) => ({
    type: 'fail',
    slot: attempt.slot,
    claim: attempt.claim,
    error,
    // Without an attempt there is nothing to retry.
    retryable: failure.retryable && begun,
    retryAfterMs: checkedPause(failure.retryAfterMs),
    begun,
    random: Math.random(),
    ranMs,
  }));
}

/** About 9,500 years: added to the current time, still within PostgreSQL's range. */
const MAX_PAUSE_MS = 3e14;

const NO_INSTANT = `The handler asked to wait until what is not ${INSTANT_ACCEPTED}.`;
const NO_ANSWER =
  'The handler asked to wait for neither a time nor something of the kind that its type declares.';
const NO_PAUSE = 'The handler asked to wait for what is no number of milliseconds, or too many of them.';

function parkEvent(
  { pause, state, waitingFor: wanted }: Extract<Outcome, { kind: 'parked' }>,
  attempt: Attempt,
  { store, msUntil }: EventSource,
  waitsFor: WaitKind | undefined,
): Event | Promise<Event> {
  if (wanted === null ? pause === null : wanted.kind !== waitsFor)
    throw new StepFailure('invalid_pause', NO_ANSWER);
  return next(pause === null ? null : pauseMs(pause, attempt, msUntil), (given) => {
    // A pause of no number comes as null from another process.
    const forMs = pause === null ? null : checkedPause(given);
    if (forMs === null && pause !== null) throw new StepFailure('invalid_pause', NO_PAUSE);
    const { slot, claim, timeoutLeftMs } = attempt;
    const timeoutMs = timeoutLeftMs === null ? null : Math.max(0, timeoutLeftMs);
    return next(storedValue(store, state), (stored) =>
      next(storedValue(store, wanted), (waitingFor) => {
        const waits = waitingFor as unknown as WaitingFor | null;
        return { type: 'park', slot, claim, forMs, state: stored, timeoutMs, waitingFor: waits };
      }),
    );
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

function storedValue(store: OutputStore, value: unknown): Json | Promise<Json> {
  return value === null ? null : next(store.payload(value), (payload) => payload.value);
}
