import { expect, test } from 'bun:test';
import { FailureLines } from './failure-lines.ts';

test('the first failure of each receiver is due for a line, then one a minute that counts those between', () => {
  let now = 0;
  const lines = new FailureLines(() => now);
  expect([lines.told('a'), lines.told('a'), lines.told('b'), lines.told('a')]).toEqual([1, 0, 1, 0]);
  now = 59_999;
  expect(lines.told('a')).toBe(0);
  now = 60_000;
  expect([lines.told('a'), lines.told('a'), lines.told('b')]).toEqual([4, 0, 1]);
});

test('a receiver is forgotten when a thousand others failed after it', () => {
  const lines = new FailureLines(() => 0);
  lines.told('first');
  for (let each = 0; each < 1_000; each += 1) lines.told(`other-${each}`);
  expect([lines.told('other-999'), lines.told('first')]).toEqual([0, 1]);
});
