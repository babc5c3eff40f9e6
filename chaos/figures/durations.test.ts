/** Figures of many durations. */
import { expect, test } from 'bun:test';
import { durationsOf, histogram } from './durations.ts';

const upTo = (n: number) => Array.from({ length: n }, (_, at) => at + 1);

test('quantiles are values that were measured, by their rank', () => {
  expect(durationsOf(upTo(500).reverse())).toEqual({ n: 500, p50: 250, p90: 450, p99: 495, max: 500 });
});

test('one duration is every quantile, and none has no figures', () => {
  expect(durationsOf([7.4])).toEqual({ n: 1, p50: 7, p90: 7, p99: 7, max: 7 });
  expect(durationsOf([])).toBeNull();
});

test('one slow of a hundred shows in the maximum and not in p99', () => {
  expect(durationsOf([...upTo(99).map(() => 10), 9_000])).toMatchObject({ p99: 10, max: 9_000 });
});

test('a histogram has every duration in it once, in spans of round lengths', () => {
  const lines = histogram([100, 110, 500, 1_090]);
  const counts = lines.map((line) => Number(/(\d+)$/.exec(line)![1]));
  expect(counts.reduce((sum, count) => sum + count)).toBe(4);
  expect(lines[0]).toStartWith('   100 ms ####');
  expect(lines.at(-1)).toContain('1000 ms');
});

test('a histogram of equal durations is one line, and of none nothing', () => {
  expect(histogram([5, 5, 5])).toHaveLength(1);
  expect(histogram([])).toEqual([]);
});
