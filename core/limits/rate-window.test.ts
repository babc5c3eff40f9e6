/** A rate as a sliding window: never more starts than the limit within it, and not many fewer than could be. */
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../../tests/support/core/cases.ts';
import { countingSlices, freedInMs, type Slice, sliceEnd, withStarts } from './rate-window.ts';

const perMs = fc.integer({ min: 1, max: 100_000 });
const share = fc.double({ min: 0, max: 1, noNaN: true });

/** Grants as much as the limit lets at each moment; each start comes at some share of the time until its slice ends. */
function play(limit: number, per: number, moments: readonly { wait: number; delay: number }[]): number[] {
  let slices: Slice[] = [];
  let now = 1_700_000_000_000;
  const starts: number[] = [];
  for (const { wait, delay } of moments) {
    now += wait * per;
    slices = countingSlices(slices, now, per);
    const used = slices.reduce((sum, { count }) => sum + count, 0);
    const ends = sliceEnd(now, per);
    if (used >= limit) continue;
    slices = withStarts(slices, ends, limit - used);
    for (let at = used; at < limit; at += 1) starts.push(now + delay * (ends - now));
  }
  return starts.toSorted((a, b) => a - b);
}

test('no window has more starts than the limit, wherever it begins and however late granted steps start', () => {
  const moments = fc.array(fc.record({ wait: share, delay: share }), { maxLength: 60 });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), perMs, moments, (limit, per, played) => {
      const starts = play(limit, per, played);
      for (let at = limit; at < starts.length; at += 1)
        // Numbers of this size have a grain of 1/4000 ms.
        expect(starts[at]! - starts[at - limit]!).toBeGreaterThan(per - 0.01);
    }),
    cases(100),
  );
});

test('what is used up is free again within one and a half slices of the window, when it said', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1e12 }), fc.integer({ min: 2_000, max: 100_000 }), (now, per) => {
      const slices = withStarts([], sliceEnd(now, per), 3);
      const wait = freedInMs(slices, now, per)!;
      expect(wait).toBeGreaterThan(per);
      expect(wait).toBeLessThanOrEqual(per * (1 + 1.5 / 20) + 0.01);
      expect(countingSlices(slices, now + wait, per)).toEqual([]);
      expect(countingSlices(slices, now + wait - 1, per)).toEqual(slices);
    }),
    cases(100),
  );
});

test('starts of one slice are one entry', () => {
  const slices = withStarts(withStarts(withStarts([], 100, 1), 200, 1), 100, 2);
  expect(slices).toContainEqual({ endsMs: 100, count: 3 });
  expect(slices).toHaveLength(2);
  expect(freedInMs([], 0, 1)).toBeNull();
});
