/**
 * The time limit of a call to the outside.
 */
import { StepFailure } from '../step-type.ts';

export interface Deadline {
  /** Follows the caller's signal, and fires by itself when the time is over. */
  readonly signal: AbortSignal;
  end(): void;
}

const LONGEST_TIMER_MS = 2 ** 31 - 1;

export function startDeadline(outer: AbortSignal, timeoutMs: number): Deadline {
  const controller = new AbortController();
  const follow = () => controller.abort(outer.reason);
  if (outer.aborted) follow();
  outer.addEventListener('abort', follow, { once: true });
  const expire = () =>
    controller.abort(
      new StepFailure('timeout', `no complete answer within ${timeoutMs} ms`, { retryable: true }),
    );
  const timer = setTimeout(expire, Math.min(timeoutMs, LONGEST_TIMER_MS));
  return {
    signal: controller.signal,
    end() {
      clearTimeout(timer);
      outer.removeEventListener('abort', follow);
    },
  };
}
