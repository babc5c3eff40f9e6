/**
 * Random graphs, outcomes, orders and batches: every commit is held against the oracle.
 */
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../tests/support/core/cases.ts';
import { reportShortly } from '../tests/support/core/counterexample.ts';
import { Drive } from '../tests/support/core/drive.ts';
import { racingTemplates, templates, undoneTemplates } from '../tests/support/core/graphs.ts';
import { naiveOrder } from '../tests/support/core/naive-order.ts';
import { Play } from '../tests/support/core/play.ts';
import { playOut, scripts } from '../tests/support/core/scripts.ts';

const seed = fc.integer();
const capacity = fc.integer({ min: 1, max: 8 });

function calmly(steps: number) {
  return fc.property(templates(steps), scripts(steps), seed, capacity, (template, parts, seed, capacity) => {
    const drive = new Drive(template, parts, { seed, capacity, wild: false });
    drive.run();
    if (template.onFailure === 'stop') return;
    const { execution, steps, edges } = playOut(template, parts);
    expect(drive.oracle.verdict).toMatchObject({ execution, steps, edges });
  });
}

function wildly(steps: number, drawn = templates(steps)) {
  return fc.property(drawn, scripts(steps), seed, capacity, (template, parts, seed, capacity) => {
    new Drive(template, parts, { seed, capacity, wild: true }).run();
  });
}

test.each([
  ['small', 8, 4000],
  ['large', 30, 1000],
])('a %s execution ends as the oracle says whatever the order of events', (_, steps, numRuns) => {
  fc.assert(calmly(steps), { ...cases(numRuns), reporter: reportShortly });
});

test.each([
  ['small', 8, 4000],
  ['large', 30, 1000],
])(
  'a %s execution agrees with the oracle through timeouts, pauses, stops and cancels',
  (_, steps, numRuns) => {
    fc.assert(wildly(steps), { ...cases(numRuns), reporter: reportShortly });
  },
);

test.each([
  ['small', 8, 4000],
  ['large', 20, 600],
])('a %s execution agrees with the oracle where joins cancel losers', (_, steps, numRuns) => {
  fc.assert(wildly(steps, racingTemplates(steps)), { ...cases(numRuns), reporter: reportShortly });
});

test.each([
  ['small', 6, 4000],
  ['large', 16, 800],
])('a %s execution agrees with the oracle where steps have compensations', (_, steps, numRuns) => {
  fc.assert(wildly(steps, undoneTemplates(steps)), { ...cases(numRuns), reporter: reportShortly });
});

test('with one slot, steps start in breadth-first order whatever comes of them', () => {
  const outcomes = fc.infiniteStream(fc.constantFrom('complete' as const, 'fail' as const, 'skip' as const));
  fc.assert(
    fc.property(templates(12), outcomes, (template, outcomes) => {
      const play = Play.begun({ ...template, onFailure: 'continue' });
      const started: string[] = [];
      const { rank } = play.view.graph;
      const queued = (slot: number) => play.view.steps[slot]?.status === 'queued';
      for (;;) {
        const [first] = [...rank.keys()].filter(queued).sort((a, b) => rank[a]! - rank[b]!);
        if (first === undefined) break;
        const key = play.keys([first])[0]!;
        started.push(key);
        const outcome = outcomes.next().value as 'complete' | 'fail' | 'skip';
        if (outcome === 'complete') play.complete(key, ['a']);
        else play[outcome](key);
      }
      expect(started).toEqual(naiveOrder(template).filter((key) => started.includes(key)));
    }),
    { ...cases(500), reporter: reportShortly },
  );
});
