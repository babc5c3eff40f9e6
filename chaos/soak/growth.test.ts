/** The rule for growth. */
import { expect, test } from 'bun:test';
import { seededRandom } from '../../tests/support/core/seeded-random.ts';
import { growthOf, lastTwoThirds, lineThrough, type Point } from './growth.ts';

const series = (n: number, value: (at: number) => number): Point[] =>
  Array.from({ length: n }, (_, at) => ({ at: at * 10, value: value(at) }));
const TOLERANCE = { share: 0.1, slack: 5 };

test('a line through points of a line is that line', () => {
  const line = lineThrough(series(10, (at) => 3 + 2 * at))!;
  expect(line.mean).toBeCloseTo(12);
  expect(line.rise).toBeCloseTo(18);
  expect(line.noise).toBeCloseTo(0);
});

test('a leak grows', () => {
  expect(
    growthOf(
      series(180, (at) => 100 + at),
      TOLERANCE,
    ),
  ).toMatchObject({ grows: true });
});

test('a rise at the beginning that levels off does not', () => {
  expect(
    growthOf(
      series(180, (at) => Math.min(200, 100 + 2 * at)),
      TOLERANCE,
    ),
  ).toMatchObject({ grows: false });
});

test('a rise within the tolerance does not, one beyond it does', () => {
  const rising = (by: number) =>
    growthOf(
      series(180, (at) => 100 + (by * at) / 179),
      TOLERANCE,
    )!.grows;
  expect(rising(20)).toBe(false);
  expect(rising(30)).toBe(true);
});

test('noise around a level does not, however large; a leak under noise does', () => {
  const random = seededRandom(1);
  const noisy = series(180, () => 100 + 80 * (random() - 0.5));
  expect(growthOf(noisy, { share: 0, slack: 0 })!.grows).toBe(false);
  const leaking = noisy.map(({ at, value }, place) => ({ at, value: value + place }));
  expect(growthOf(leaking, TOLERANCE)!.grows).toBe(true);
});

test('a series that falls does not', () => {
  expect(
    growthOf(
      series(60, (at) => 1_000 - at),
      TOLERANCE,
    )!.grows,
  ).toBe(false);
});

test('a series in proportion to another one is explained by it, and what goes beyond is not', () => {
  const kept = series(60, (at) => 1_000 + 50 * at);
  const inProportion = series(60, (at) => 100 + 5 * at);
  expect(growthOf(inProportion, TOLERANCE)!.grows).toBe(true);
  expect(growthOf(inProportion, TOLERANCE, kept)!.grows).toBe(false);
  const bloated = series(60, (at) => 100 + 25 * at);
  expect(growthOf(bloated, TOLERANCE, kept)!.grows).toBe(true);
  const level = series(60, () => 1_000);
  expect(growthOf(inProportion, TOLERANCE, level)!.grows).toBe(true);
});

test('a few points say nothing', () => {
  expect(
    growthOf(
      series(7, (at) => at * 1_000),
      TOLERANCE,
    ),
  ).toBeNull();
  expect(lastTwoThirds(series(7, (at) => at))).toHaveLength(5);
});
