/**
 * Decides whether a failed attempt is retried, and after how long.
 *
 * The delay doubles with each retry (exponential) up to `maxDelay`. Jitter draws the delay from its upper
 * half ("equal jitter", AWS Architecture Blog, Exponential Backoff And Jitter, 2015): retries spread out
 * without all coming at once. A peer's Retry-After stretches the delay, capped by `maxDelay`.
 */
import type { RetryPolicy } from './template.ts';

/** A year: longer delays would overflow timers and have no use. */
const LONGEST_DELAY_MS = 365 * 24 * 3600 * 1000;
/**
 * Immediate retries allowed. Later ones wait at least `LEAST_DELAY_MS`, whatever the policy says, so that none spin.
 */
const MAX_AT_ONCE = 3;
const LEAST_DELAY_MS = 10;

/**
 * @param retries retries already used
 * @param random in [0, 1)
 * @returns milliseconds until the next attempt, or null when there is none
 */
export function retryDelayMs(
  policy: RetryPolicy,
  retries: number,
  failure: { retryable: boolean; retryAfterMs: number | null },
  random: number,
): number | null {
  if (!failure.retryable || retries >= policy.limit) return null;
  const cap = Math.min(policy.maxDelayMs ?? LONGEST_DELAY_MS, LONGEST_DELAY_MS);
  const growth = policy.backoff === 'exponential' ? 2 ** Math.min(retries, 60) : 1;
  const full = Math.min(policy.delayMs * growth, cap);
  const delay = policy.jitter ? full / 2 + (full / 2) * random : full;
  const least = retries < MAX_AT_ONCE ? 0 : LEAST_DELAY_MS;
  return Math.round(Math.max(least, delay, Math.min(failure.retryAfterMs ?? 0, cap)));
}
