import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { parseDuration } from './duration.ts';

describe('parseDuration', () => {
  test.each([
    ['250ms', 250],
    ['30s', 30_000],
    ['5m', 300_000],
    ['2h', 7_200_000],
    ['1d', 86_400_000],
    ['1500', 1_500],
    ['1.5s', 1_500],
    ['0.1s', 100],
    [' 30s ', 30_000],
    ['30 s', 30_000],
    ['0', 0],
    [0, 0],
    [1_500, 1_500],
  ])('%p is %d ms', (value, ms) => {
    expect(parseDuration(value)).toBe(ms);
  });

  test.each([
    '',
    ' ',
    's',
    '-1s',
    '+1s',
    '1.5ms',
    '1w',
    '30S',
    '1h30m',
    '1e3',
    '0x10',
    'Infinity',
    'NaN',
    '٣s',
    '999999999999d',
  ])('%p is no duration', (value) => {
    expect(parseDuration(value)).toBeNull();
  });

  test.each([-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])(
    'the number %p is no duration',
    (value) => {
      expect(parseDuration(value)).toBeNull();
    },
  );

  test('any text gives null or whole milliseconds, and never throws', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const ms = parseDuration(text);
        return ms === null || (Number.isSafeInteger(ms) && ms >= 0);
      }),
    );
  });
});
