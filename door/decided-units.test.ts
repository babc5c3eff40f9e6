import { expect, test } from 'bun:test';
import { DecidedUnits } from './decided-units.ts';
import type { DecidedUnit } from './unit.ts';

const MEGABYTE = 'x'.repeat(1024 * 1024);
const withOutputs = (outputs: string | null) => ({ outputs }) as DecidedUnit;

test('a commit takes 4 MiB of outputs, or one execution that has more, and the rest goes with the next', () => {
  const units = new DecidedUnits();
  for (let at = 0; at < 9; at += 1) units.add(withOutputs(MEGABYTE));
  units.add(withOutputs(MEGABYTE.repeat(20)));
  units.add(withOutputs('1'));
  units.add(withOutputs(null));
  expect([1, 2, 3, 4, 5].map(() => units.take().length)).toEqual([4, 4, 2, 2, 0]);
});
