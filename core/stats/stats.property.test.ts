/**
 * Counted ends against a scan of them: what is put together from spans and classes is what the ends themselves say.
 */
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../../tests/support/core/cases.ts';
import { ALL, addNumbers, countEnds, ENDS, type EndedExecution, noEnds } from './end-counts.ts';
import { classOf, Durations, durationOf, fromPairs, toPairs } from './histogram.ts';
import { BUCKETS_MS, bucketsOf, startOfSpan, widthOf } from './spans.ts';

const duration = fc.oneof(fc.constant(0), fc.double({ min: 0.01, max: 1e10, noNaN: true }));

/** The smallest value that a share of all does not exceed. */
function exactPercentile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(1, Math.ceil(sorted.length * share)) - 1]!;
}

function expectWithin(found: number, exact: number): void {
  expect(Math.abs(found - exact)).toBeLessThanOrEqual(exact * 0.05);
}

test('a class stands for its durations within 5 %', () => {
  fc.assert(
    fc.property(duration, (ms) => expectWithin(durationOf(classOf(ms)), ms)),
    cases(3_000),
  );
});

test('percentiles are those of all durations within 5 %, also when they were stored in between', () => {
  fc.assert(
    fc.property(
      fc.array(duration, { minLength: 1, maxLength: 200 }),
      fc.constantFrom(0.5, 0.95),
      (all, share) => {
        const histogram = noEnds().durations;
        for (const ms of all) histogram.set(classOf(ms), (histogram.get(classOf(ms)) ?? 0) + 1);
        const stored = new Durations();
        stored.add(toPairs(new Map(fromPairs(toPairs(histogram)))));
        expectWithin(
          stored.percentile(share)!,
          exactPercentile(
            all.toSorted((a, b) => a - b),
            share,
          ),
        );
      },
    ),
    cases(1_000),
  );
});

/** What is counted while everything is still kept. */
function counted(all: readonly EndedExecution[]) {
  const counting = countEnds(all, Date.parse('2026-04-01T00:00:00Z'));
  for (;;) {
    const { done, value } = counting.next();
    if (done === true) return value;
  }
}

const ended: fc.Arbitrary<EndedExecution> = fc.record({
  workspaceId: fc.constantFrom(null, 'a', 'b'),
  template: fc.constantFrom('one', 'two'),
  status: fc.constantFrom(...ENDS),
  endedAt: fc.date({
    min: new Date('2026-03-28T00:00:00Z'),
    max: new Date('2026-03-31T00:00:00Z'),
    noInvalidDate: true,
  }),
  durationMs: fc.option(duration),
});

test('every bucket has the ends of its time, by workspace and template, and all of them', () => {
  const asked = fc.record({
    workspace: fc.constantFrom(ALL, '', 'a'),
    template: fc.constantFrom(ALL, 'one'),
    bucketMs: fc.constantFrom(...BUCKETS_MS),
  });
  const property = fc.property(
    fc.array(ended, { maxLength: 60 }),
    asked,
    (all, { workspace, template, bucketMs }) => {
      const spans = counted(all).filter(
        (count) =>
          count.width === widthOf(bucketMs) && count.workspace === workspace && count.template === template,
      );
      const since = Date.parse('2026-03-28T00:00:00Z');
      const { fromMs, count } = bucketsOf(since, Date.parse('2026-03-31T00:00:01Z'), bucketMs);
      for (let place = 0; place < count; place += 1) {
        const at = fromMs + place * bucketMs;
        const found = noEnds();
        for (const span of spans)
          if (startOfSpan(span.startsAtMs, bucketMs) === at) addNumbers(found, span.numbers);
        const own = all.filter(
          (one) =>
            one.endedAt.getTime() >= at &&
            one.endedAt.getTime() < at + bucketMs &&
            (workspace === ALL || (one.workspaceId ?? '') === workspace) &&
            (template === ALL || one.template === template),
        );
        for (const end of ENDS) expect(found[end]).toBe(own.filter(({ status }) => status === end).length);
        const durations = [...found.durations.values()].reduce((sum, number) => sum + number, 0);
        expect(durations).toBe(own.filter(({ durationMs }) => durationMs !== null).length);
      }
    },
  );
  fc.assert(property, cases(60));
});
