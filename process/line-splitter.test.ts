import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../tests/support/core/cases.ts';
import { LineSplitter } from './line-splitter.ts';

function linesOf(pieces: readonly string[], maxLength = 1_000): string[] {
  const lines: string[] = [];
  const splitter = new LineSplitter(maxLength, (line) => lines.push(line));
  for (const piece of pieces) splitter.push(piece);
  splitter.end();
  return lines;
}

test('lines are the same in whatever pieces they come, and empty ones are left out', () => {
  const piece = fc.string({ unit: fc.constantFrom('a', 'b', ' ', '\n') });
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      const whole = pieces.join('').split('\n');
      expect(linesOf(pieces)).toEqual(whole.filter((line) => line.trim() !== ''));
    }),
    cases(100),
  );
});

test('a line that is too long is cut, and the next one is whole', () => {
  const pieces = [...Array.from({ length: 100 }, () => 'x'.repeat(100)), '\nnext', '\n'];
  expect(linesOf(pieces, 50)).toEqual([`${'x'.repeat(43)}… [cut]`, 'next']);
});
