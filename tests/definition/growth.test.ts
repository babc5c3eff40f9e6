import { expect, test } from 'bun:test';
import { readSteps, warningsOf } from './reading.ts';

/** Diamonds after each other: in0 -> left0, right0 -> in1 -> ... */
function diamonds(count: number, join: object = { type: 'noop' }, branch: object = { type: 'noop' }) {
  const steps: Record<string, object> = { in0: { type: 'noop', with: { big: 1 } } };
  for (let at = 0; at < count; at++) {
    steps[`left${at}`] = { ...branch, needs: [`in${at}`] };
    steps[`right${at}`] = { ...branch, needs: [`in${at}`] };
    steps[`in${at + 1}`] = { ...join, needs: [`left${at}`, `right${at}`] };
  }
  return steps;
}

const growing = (steps: object) =>
  warningsOf(readSteps(steps)).filter((found) => found.startsWith('inputs_grow'));

test('steps that pass on what arrived are warned of once where they meet more than eight joins deep', () => {
  for (const count of [1, 7, 8]) expect(growing(diamonds(count))).toEqual([]);
  for (const count of [9, 10, 16, 40]) expect(growing(diamonds(count))).toEqual(['inputs_grow /steps/in9']);
  const [warning] = readSteps(diamonds(9)).warnings;
  expect(warning!.message).toContain('"in9"');
  expect(warning!.message).toContain('with: {}');
});

test('joins of any type that passes on what arrived count', () => {
  expect(growing(diamonds(9, { type: 'merge' }))).toEqual(['inputs_grow /steps/in9']);
  expect(growing(diamonds(9, { type: 'merge', with: { mode: 'append' } }))).toEqual([
    'inputs_grow /steps/in9',
  ]);
  expect(growing(diamonds(9, { type: 'merge', with: { mode: 'combine' } }))).toEqual([]);
});

test('outputs of their own end the growth, at the joins or before them', () => {
  const own = { type: 'noop', with: {} };
  expect(growing(diamonds(40, own))).toEqual([]);
  expect(growing(diamonds(40, { type: 'noop' }, own))).toEqual([]);
  const steps = diamonds(16);
  steps.in6 = { ...steps.in6, with: {} };
  steps.in12 = { ...steps.in12, with: {} };
  expect(growing(steps)).toEqual([]);
});

test('joins that hold nothing twice are not warned of', () => {
  const line: Record<string, object> = { in0: { type: 'noop' } };
  for (let at = 1; at < 200; at++) {
    line[`side${at}`] = { type: 'noop', with: {} };
    line[`in${at}`] = { type: 'noop', needs: [`in${at - 1}`, `side${at}`] };
  }
  expect(growing(line)).toEqual([]);
  const keys = Array.from({ length: 400 }, (_, at) => `p${at}`);
  const fan = Object.fromEntries(keys.map((key) => [key, { type: 'noop' }]));
  expect(growing({ ...fan, all: { type: 'noop', needs: keys } })).toEqual([]);
});
