/**
 * Random graphs, outcomes and orders: at every commit every step that is not final has one reason, which the model confirms,
 * and a sentence.
 */
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import type { Reason } from '../../core/explain/reason.ts';
import { compileGraph } from '../../core/graph.ts';
import type { Template } from '../../core/template.ts';
import { type ExecutionView, emptyView } from '../../core/view.ts';
import { cases } from '../../tests/support/core/cases.ts';
import { reportShortly } from '../../tests/support/core/counterexample.ts';
import { Drive } from '../../tests/support/core/drive.ts';
import { checkExplanation, situationOf } from '../../tests/support/core/explanation-oracle.ts';
import { racingTemplates, templates, undoneTemplates } from '../../tests/support/core/graphs.ts';
import { scripts } from '../../tests/support/core/scripts.ts';
import { Luck } from '../../tests/support/core/seeded-random.ts';
import { waitOf } from './wait-of.ts';
import { reasonText } from './words.ts';

const EXECUTION = '01a22ea8-28c8-7000-9da1-0e143a6381ce';

/** A sentence names its step, has an end, and no gap where a value is missing. */
function checkSentence(view: ExecutionView, reason: Reason, slot: number): void {
  const { key } = view.graph.steps[slot]!;
  const text = reasonText(reason, {
    executionId: EXECUTION,
    stepId: view.steps[slot]?.id ?? null,
    key,
    path: key,
    scope: '',
    sinceMs: 1_000_000,
    deadlineAt: null,
    url: () => null,
    keyOf: (other) => view.graph.steps[other]!.key,
  });
  expect(text).toStartWith(`Step "${key}" `);
  expect(text).toMatch(/[.\]}"]$/);
  expect(text).not.toMatch(/undefined|NaN|\[object|null| {2}|: ?\.|\.\./);
  expect(waitOf(reason, () => null) === null).toBe(reason.kind === 'running');
}

/** Some of the steps have a limit. */
function limited(template: Template, luck: Luck): Template {
  const concurrency = { key: 'key', limit: 1 };
  const steps = template.steps.map((step) => (luck.chance(0.3) ? { ...step, concurrency } : step));
  return { ...template, steps };
}

const KINDS: readonly Reason['kind'][] = [
  'answer',
  'hidden_limit',
  'inputs',
  'limit',
  'no_engine',
  'paused',
  'retry',
  'running',
  'silent_engine',
  'slot',
  'start',
  'step_type',
  'stop',
  'timer',
];

test('every step that is not final has one reason, which names what changes it', () => {
  const kinds = new Set<Reason['kind']>();
  const explained = (drawn: fc.Arbitrary<Template>) =>
    fc.property(drawn, scripts(8), fc.integer(), (template, parts, seed) => {
      const luck = new Luck(seed, 0);
      const explain = (view: ExecutionView) =>
        checkExplanation(situationOf(view, luck), (reason, slot) => {
          kinds.add(reason.kind);
          checkSentence(view, reason, slot);
        });
      const look = (view: ExecutionView) => {
        explain(view);
        // Every running execution might be paused just now.
        if (view.status === 'running' && luck.chance(0.3))
          explain({ ...view, status: 'paused', pause: { by: null } });
      };
      const played = limited(template, luck);
      look(emptyView('execution', compileGraph(played)));
      new Drive(played, parts, { seed, capacity: 3, wild: true, look }).run();
    });
  for (const drawn of [templates(8), racingTemplates(8), undoneTemplates(6)])
    fc.assert(explained(drawn), { ...cases(360), reporter: reportShortly });
  expect([...kinds].sort()).toEqual([...KINDS]);
});
