import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../../tests/support/core/cases.ts';
import { didYouMean, nearest } from './nearest.ts';

test('a slip of the keys finds its name', () => {
  const names = ['reserve', 'decide', 'express', 'standard', 'ship'];
  for (const slip of ['reserv', 'rserve', 'resevre', 'Reserve', 'reserve1'])
    expect(nearest(slip, names)).toBe('reserve');
  expect(nearest('shpi', names)).toBe('ship');
  expect(nearest('htpp', ['merge', 'http'])).toBe('http');
});

test('the closest of several names wins, and the first of equals', () => {
  expect(nearest('step3', ['step1', 'step33', 'step3x'])).toBe('step1');
  expect(nearest('combin', ['combined', 'combine'])).toBe('combine');
});

test('a name that is far from all has no nearest', () => {
  expect(nearest('banana', ['reserve', 'ship'])).toBeNull();
  expect(nearest('x', ['a', 'b'])).toBeNull();
  expect(nearest('', ['a'])).toBeNull();
  expect(nearest('reserve', [])).toBeNull();
  expect(nearest('r'.repeat(1_000_000), ['r'])).toBeNull();
});

test('the suggestion is a sentence, or nothing', () => {
  expect(didYouMean('shp', ['ship'])).toBe(' Did you mean "ship"?');
  expect(didYouMean('banana', ['ship'])).toBe('');
});

test('one inserted, lost or swapped character is always near', () => {
  const name = fc.stringMatching(/^[a-z]{6,20}$/);
  const property = fc.property(
    name,
    fc.nat(),
    fc.constantFrom('insert', 'lose', 'swap'),
    (right, place, slip) => {
      const at = place % (right.length - 1);
      const swapped = right.slice(0, at) + right[at + 1] + right[at] + right.slice(at + 2);
      const wrong = {
        insert: `${right.slice(0, at)}x${right.slice(at)}`,
        lose: right.slice(0, at) + right.slice(at + 1),
        swap: swapped,
      };
      expect(nearest(wrong[slip], [right])).toBe(right);
    },
  );
  fc.assert(property, cases(100));
});
