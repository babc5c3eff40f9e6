import { expect, test } from 'bun:test';
import { errorName } from './error-name.ts';

class Declined extends Error {}

const NAMES: readonly [unknown, string][] = [
  [new Error('x'), 'Error'],
  [new TypeError('x'), 'TypeError'],
  [new Declined('x'), 'Declined'],
  [Object.assign(new Error('x'), { name: 'Refused' }), 'Refused'],
  [Object.assign(new Error('x'), { name: 'two words\n' }), 'Error'],
  [Object.assign(new Error('x'), { name: 7 }), 'Error'],
  [Object.assign(new Error('x'), { name: 'x'.repeat(101) }), 'Error'],
  [
    Object.defineProperty(new Error('x'), 'name', {
      get: () => {
        throw new Error('hostile');
      },
    }),
    'Error',
  ],
  ['a text', 'Error'],
  [null, 'Error'],
];

test('the name of an error is its own or that of its class, and never anything but a name', () => {
  for (const [thrown, name] of NAMES) expect(errorName(thrown)).toBe(name);
});
