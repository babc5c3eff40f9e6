import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../../tests/support/core/cases.ts';
import { DURATION_PATTERN, parseDuration, parseDurationText } from './duration.ts';

const FORMS: [string, number][] = [
  ['250ms', 250],
  ['30s', 30_000],
  ['5m', 300_000],
  ['2h', 7_200_000],
  ['1d', 86_400_000],
  ['0s', 0],
  ['007s', 7_000],
];
const NO_FORMS = [
  ...[
    '',
    ' ',
    's',
    '-1s',
    '+1s',
    '1.5ms',
    '1.5s',
    '0.1s',
    '1w',
    '30S',
    '1h30m',
    '1e3',
    '1e3s',
    '0x10',
    '0x10s',
  ],
  ...[' 30s', '30s ', '30s\n', '30 s', 'Infinity', 'NaN', '٣s', '999999999999d', '1_000s', "1'000s", '1,5s'],
];

describe('a duration', () => {
  test.each(FORMS)('%p is %d ms', (value, ms) => {
    expect(parseDuration(value)).toBe(ms);
    expect(parseDurationText(value)).toBe(ms);
  });

  test.each(NO_FORMS)('%p is none', (value) => {
    expect(parseDuration(value)).toBeNull();
    expect(parseDurationText(value)).toBeNull();
  });

  test('is milliseconds as a number, which text is only where there is nothing but text', () => {
    expect([0, 1_500].map(parseDuration)).toEqual([0, 1_500]);
    expect(['0', '1', '1500'].map(parseDuration)).toEqual([null, null, null]);
    expect(['0', '1', '1500'].map(parseDurationText)).toEqual([0, 1, 1_500]);
    expect(['1.5', ' 1', '9'.repeat(20), '-1', ''].map(parseDurationText)).toEqual(Array(5).fill(null));
  });

  test.each([-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])('is not the number %p', (value) => {
    expect(parseDuration(value)).toBeNull();
  });

  test('in any text is whole milliseconds or none, as its pattern says', () => {
    const pattern = new RegExp(DURATION_PATTERN);
    const near = fc.tuple(
      fc.constantFrom('', ' ', '-', '1.'),
      fc.nat(),
      fc.constantFrom('', ' ', 's', 'ms', 'm', 'M'),
    );
    const texts = fc.oneof(
      fc.string(),
      near.map((parts) => parts.join('')),
    );
    const property = fc.property(texts, (text) => {
      const ms = parseDuration(text);
      expect(ms !== null).toBe(pattern.test(text));
      if (ms !== null) expect(Number.isSafeInteger(ms) && ms >= 0).toBeTrue();
    });
    fc.assert(property, cases(100));
  });
});
