import { expect, test } from 'bun:test';
import { DecidedUnits } from './decided-units.ts';
import type { DecidedUnit } from './unit.ts';

const KILOBYTE = 'x'.repeat(1024);
const withOutputs = (outputs: string | null) => ({ outputs, mails: [] }) as unknown as DecidedUnit;

test('a commit takes 4 MiB of outputs, or one execution that has more, and the rest goes with the next', () => {
  const units = new DecidedUnits();
  for (let at = 0; at < 9; at += 1) units.add(withOutputs(KILOBYTE.repeat(1024)));
  units.add(withOutputs(KILOBYTE.repeat(20 * 1024)));
  units.add(withOutputs(KILOBYTE.repeat(64)));
  expect([1, 2, 3, 4, 5].map(() => units.take(true).length)).toEqual([4, 4, 2, 1, 0]);
});

test('large outputs and others go into different commits', () => {
  const units = new DecidedUnits();
  for (const outputs of [KILOBYTE.repeat(64), '1', null, KILOBYTE.repeat(63)])
    units.add(withOutputs(outputs));
  expect(units.take(false)).toHaveLength(3);
  expect(units.take(false)).toHaveLength(0);
  expect(units.take(true)).toHaveLength(1);
});
