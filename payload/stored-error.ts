/**
 * Prepares the error of a step for storage, wherever it comes from: masked, cut, and without details that cannot be stored.
 */
import type { StepError } from '../core/event.ts';
import type { Json } from '../core/json/json.ts';
import { next } from '../core/next.ts';
import type { OutputStore } from './output-store.ts';

export const MAX_MESSAGE_LENGTH = 10_000;
export const MAX_CODE_LENGTH = 200;

/** Handlers may give any value for a text. */
export interface GivenError {
  readonly code: unknown;
  readonly message: unknown;
  readonly details: unknown;
}

export function storedError(
  store: OutputStore,
  { code: given, message, details }: GivenError,
): StepError | Promise<StepError> {
  const text = store.text(String(message ?? ''), MAX_MESSAGE_LENGTH);
  const code = store.text(String(given ?? ''), MAX_CODE_LENGTH) || 'handler_failed';
  return next(storedDetails(store, details), (stored) => ({ code, message: text, details: stored }));
}

function storedDetails(store: OutputStore, details: unknown): Json | Promise<Json> {
  try {
    const payload = store.payload(details);
    return payload instanceof Promise ? payload.then(({ value }) => value, nothing) : payload.value;
  } catch {
    return null;
  }
}

const nothing = () => null;
