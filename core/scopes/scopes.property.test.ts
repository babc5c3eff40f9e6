/**
 * Random graphs whose steps hold scopes, to a depth of three: every commit of every view is held against an oracle.
 */
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../../tests/support/core/cases.ts';
import { reportNested } from '../../tests/support/core/counterexample.ts';
import { racingTemplates, templates, undoneTemplates } from '../../tests/support/core/graphs.ts';
import { NestedDrive } from '../../tests/support/core/nested-drive.ts';
import type { Holder, NestedTemplate } from '../../tests/support/core/nested-view.ts';
import { playOut, scripts } from '../../tests/support/core/scripts.ts';

const STEPS = 4;

/** Every number of failures is tolerated: what becomes of the scopes does not depend on their order. */
const TOLERANT = fc.constant(1_000);
const STRICT = fc.oneof(fc.constant(null), fc.nat(2));

function nested(
  depth: number,
  tolerated: fc.Arbitrary<number | null>,
  template = templates(STEPS),
): fc.Arbitrary<NestedTemplate> {
  const holders =
    depth === 0
      ? fc.constant([])
      : fc.array(
          fc.record({
            place: fc.nat(STEPS - 1),
            inner: nested(depth - 1, tolerated, template),
            rounds: fc.array(fc.nat(4), { minLength: 1, maxLength: 3 }),
            concurrency: fc.integer({ min: 1, max: 3 }),
            tolerated,
          }),
          { maxLength: 2 },
        );
  return fc.record({ template, scripts: scripts(STEPS), holders }).map(toNested);
}

function toNested({
  template,
  scripts,
  holders,
}: {
  template: NestedTemplate['template'];
  scripts: NestedTemplate['scripts'];
  holders: readonly (Holder & { place: number })[];
}): NestedTemplate {
  const places = holders.map(({ place }) => place % template.steps.length);
  const acting = scripts.map((script, at) => {
    if (!places.includes(at)) return script;
    const result = script.result === 'failed' ? ('failed' as const) : ('completed' as const);
    return { ...script, result, parks: 0 };
  });
  const byKey = new Map(holders.map((holder, at) => [template.steps[places[at]!]!.key, holder]));
  return { template, scripts: acting, holders: byKey };
}

function calm(template: NestedTemplate): NestedTemplate {
  const holders = [...template.holders].map(
    ([key, holder]) => [key, { ...holder, inner: calm(holder.inner) }] as const,
  );
  return {
    ...template,
    template: { ...template.template, onFailure: 'continue' },
    holders: new Map(holders),
  };
}

test('an execution with scopes ends as the oracle says whatever the order of events', () => {
  fc.assert(
    fc.property(nested(2, TOLERANT).map(calm), fc.integer(), (template, seed) => {
      const drive = new NestedDrive(template, { seed, wild: false });
      drive.run();
      for (const node of drive.top.all) {
        const { execution, steps, edges } = playOut(node.nested.template, node.nested.scripts);
        expect(node.oracle.verdict).toMatchObject({ execution, steps, edges });
        for (const [slot, { scopes, holder }] of node.holdings) {
          const began = ['completed', 'failed'].includes(node.view.steps[slot]!.status);
          expect(scopes.size).toBe(began ? holder.rounds.reduce((sum, count) => sum + count, 0) : 0);
        }
      }
    }),
    { ...cases(150), reporter: reportNested },
  );
});

test('an execution with scopes agrees with the oracle through failures, retries, timeouts, stops and cancels', () => {
  fc.assert(
    fc.property(nested(2, STRICT), fc.integer(), (template, seed) => {
      new NestedDrive(template, { seed, wild: true }).run();
    }),
    { ...cases(1_000), reporter: reportNested },
  );
});

test('an execution with scopes agrees with the oracle where joins cancel losers, with all that they hold', () => {
  fc.assert(
    fc.property(nested(1, STRICT, racingTemplates(8)), fc.integer(), (template, seed) => {
      new NestedDrive(template, { seed, wild: true }).run();
    }),
    { ...cases(500), reporter: reportNested },
  );
});

test('an execution with scopes agrees with the oracle where steps in them have compensations', () => {
  fc.assert(
    fc.property(nested(2, STRICT, undoneTemplates(STEPS)), fc.integer(), (template, seed) => {
      new NestedDrive(template, { seed, wild: true }).run();
    }),
    { ...cases(1_000), reporter: reportNested },
  );
});
