import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../tests/support/core/cases.ts';
import { NO_RETRY } from '../tests/support/core/graphs.ts';
import { retryDelayMs } from './retry.ts';
import type { RetryPolicy } from './template.ts';

const FAILURE = { retryable: true, retryAfterMs: null };
const EXPONENTIAL: RetryPolicy = {
  limit: 5,
  delayMs: 1000,
  backoff: 'exponential',
  maxDelayMs: 60_000,
  jitter: false,
};
const YEAR_MS = 365 * 24 * 3600 * 1000;

function policies(): fc.Arbitrary<RetryPolicy> {
  return fc.record({
    limit: fc.nat(100),
    delayMs: fc.integer({ min: 0, max: 1_000_000_000 }),
    backoff: fc.constantFrom('fixed' as const, 'exponential' as const),
    maxDelayMs: fc.option(fc.integer({ min: 0, max: 1_000_000_000 })),
    jitter: fc.boolean(),
  });
}

test('a step retries as often as its limit says, and not once more', () => {
  const policy = { ...NO_RETRY, limit: 2 };
  expect([0, 1, 2, 3].map((retries) => retryDelayMs(policy, retries, FAILURE, 0))).toEqual([
    1000,
    1000,
    null,
    null,
  ]);
  expect(retryDelayMs(NO_RETRY, 0, FAILURE, 0)).toBeNull();
});

test('a failure that is not retryable is not retried, Retry-After or not', () => {
  expect(retryDelayMs(EXPONENTIAL, 0, { retryable: false, retryAfterMs: 1000 }, 0)).toBeNull();
});

test('an exponential delay doubles with each retry up to maxDelay', () => {
  const policy = { ...EXPONENTIAL, limit: 9 };
  expect([0, 1, 2, 5, 6, 8].map((retries) => retryDelayMs(policy, retries, FAILURE, 0))).toEqual([
    1000, 2000, 4000, 32_000, 60_000, 60_000,
  ]);
});

test('a step that is retried without a delay is slowed down after three retries', () => {
  const policy: RetryPolicy = { ...EXPONENTIAL, limit: 100, delayMs: 0, maxDelayMs: 0 };
  expect([0, 1, 2, 3, 4, 99].map((retries) => retryDelayMs(policy, retries, FAILURE, 0))).toEqual([
    0, 0, 0, 10, 10, 10,
  ]);
});

test('jitter draws from the upper half of the delay', () => {
  const policy = { ...EXPONENTIAL, jitter: true };
  expect(retryDelayMs(policy, 1, FAILURE, 0)).toBe(1000);
  expect(retryDelayMs(policy, 1, FAILURE, 0.5)).toBe(1500);
  expect(retryDelayMs(policy, 1, FAILURE, 0.9999999)).toBe(2000);
});

test('Retry-After stretches the delay, never shortens it, and is capped by maxDelay', () => {
  const after = (retryAfterMs: number) => retryDelayMs(EXPONENTIAL, 0, { retryable: true, retryAfterMs }, 0);
  expect(after(5000)).toBe(5000);
  expect(after(10)).toBe(1000);
  expect(after(3_600_000)).toBe(60_000);
});

test('without maxDelay a hostile Retry-After or a hundred doublings stay within a year', () => {
  const policy = { ...EXPONENTIAL, limit: 1000, maxDelayMs: null };
  expect(retryDelayMs(policy, 0, { retryable: true, retryAfterMs: Number.MAX_VALUE }, 0)).toBe(YEAR_MS);
  expect(retryDelayMs(policy, 999, FAILURE, 0)).toBe(YEAR_MS);
});

test('any delay is a whole number of milliseconds within the policy', () => {
  const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  const peer = fc.option(fc.nat(2_000_000_000));
  fc.assert(
    fc.property(policies(), fc.nat(120), peer, chance, (policy, retries, retryAfterMs, random) => {
      const delay = retryDelayMs(policy, retries, { retryable: true, retryAfterMs }, random);
      if (retries >= policy.limit) return expect(delay).toBeNull();
      expect(Number.isInteger(delay)).toBe(true);
      expect(delay).toBeGreaterThanOrEqual(0);
      expect(delay).toBeLessThanOrEqual(Math.max(10, Math.min(policy.maxDelayMs ?? YEAR_MS, YEAR_MS)));
      const least = Math.min(policy.delayMs, policy.maxDelayMs ?? YEAR_MS) / (policy.jitter ? 2 : 1);
      expect(delay).toBeGreaterThanOrEqual(Math.floor(least));
    }),
    cases(500),
  );
});
