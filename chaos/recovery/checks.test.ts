/** The attempts that may be made again. */
import { expect, test } from 'bun:test';
import { isExplained } from './checks.ts';

const frozen = { engine: 'a', from: 1_000, to: 31_000 };
const killed = { engine: 'b', from: 1_000, to: Number.POSITIVE_INFINITY };
const strikes = [frozen, killed];

test('an attempt of a killed engine is made again whenever it is found', () => {
  expect(isExplained({ engine: 'b', at: 900 }, { at: 90_000 }, strikes)).toBe(true);
});

test('an attempt of a frozen engine is made again while it is frozen and shortly after', () => {
  expect(isExplained({ engine: 'a', at: 900 }, { at: 10_000 }, strikes)).toBe(true);
  expect(isExplained({ engine: 'a', at: 900 }, { at: 32_000 }, strikes)).toBe(true);
});

test('an attempt of an engine that is well again, or that was never struck, is not', () => {
  expect(isExplained({ engine: 'a', at: 60_000 }, { at: 70_000 }, strikes)).toBe(false);
  expect(isExplained({ engine: 'a', at: 900 }, { at: 60_000 }, strikes)).toBe(false);
  expect(isExplained({ engine: 'c', at: 900 }, { at: 2_000 }, strikes)).toBe(false);
});

test('an attempt that was taken before the strike is not', () => {
  expect(isExplained({ engine: 'a', at: 100 }, { at: 900 }, strikes)).toBe(false);
});
