import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../../tests/support/core/cases.ts';
import { INSTANT_OR_DATE_PATTERN, parseInstant, parseInstantOrDate } from './instant.ts';

describe('an instant', () => {
  test.each([
    ['2027-01-31T08:00:00Z', '2027-01-31T08:00:00.000Z'],
    ['2027-01-31T08:00Z', '2027-01-31T08:00:00.000Z'],
    ['2027-01-31T08:00:00.5+01:00', '2027-01-31T07:00:00.500Z'],
    ['2027-01-31T08:00:00.123456789-09:30', '2027-01-31T17:30:00.123Z'],
    ['2024-02-29T23:59:59Z', '2024-02-29T23:59:59.000Z'],
    ['2000-02-29T00:00:00Z', '2000-02-29T00:00:00.000Z'],
    ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00.000Z'],
    ['9999-12-31T23:59:59.999Z', '9999-12-31T23:59:59.999Z'],
  ])('%s is %s', (text, wanted) => {
    expect(new Date(parseInstant(text)!).toISOString()).toBe(wanted);
  });

  test.each([
    ...['', 'now', '2027-01-31', '2027-01-31T08:00:00', '2027-01-31 08:00:00Z', '2027-01-31t08:00:00z'],
    ...['2027-02-30T00:00:00Z', '2027-02-29T00:00:00Z', '1900-02-29T00:00:00Z', '2027-04-31T00:00:00Z'],
    ...['2027-13-01T00:00:00Z', '2027-00-01T00:00:00Z', '2027-01-00T00:00:00Z', '2027-01-32T00:00:00Z'],
    ...['2027-01-31T24:00:00Z', '2027-01-31T23:60:00Z', '2027-01-31T23:59:60Z', '2027-01-31T23:59:59+24:00'],
    ...[
      '2027-01-31T23:59:59+01:60',
      '0000-01-01T00:00:00Z',
      '0001-01-01T00:00:00+01:00',
      '+012027-01-31T00:00:00Z',
    ],
    ...[
      '9999-12-31T23:59:59-00:01',
      ' 2027-01-31T08:00:00Z',
      '2027-01-31T08:00:00Z\n',
      '2027-1-31T08:00:00Z',
    ],
    '2027-01-31T08:00:00,5Z',
  ])('%p is none', (text) => {
    expect(parseInstant(text)).toBeNull();
  });

  test('is a date only where that is asked for, and then midnight UTC', () => {
    expect(parseInstantOrDate('2024-02-29')).toBe(Date.UTC(2024, 1, 29));
    expect(parseInstantOrDate('2024-02-29T01:00:00+01:00')).toBe(Date.UTC(2024, 1, 29));
    expect(parseInstantOrDate('2023-02-29')).toBeNull();
  });

  test('is on the day that is written, for every day there is and no other', () => {
    const two = (most: number) => fc.nat(most).map((number) => String(number).padStart(2, '0'));
    const property = fc.property(fc.integer({ min: 1, max: 9999 }), two(14), two(33), (year, month, day) => {
      const written = `${String(year).padStart(4, '0')}-${month}-${day}`;
      const ms = parseInstantOrDate(written);
      const date = new Date(0);
      date.setUTCFullYear(year, Number(month) - 1, Number(day));
      const exists = date.getUTCMonth() === Number(month) - 1 && date.getUTCDate() === Number(day);
      expect(ms !== null).toBe(exists);
      expect(written).toMatch(new RegExp(INSTANT_OR_DATE_PATTERN));
      if (ms !== null) expect(new Date(ms).toISOString().slice(0, 10)).toBe(written);
    });
    fc.assert(property, cases(500));
  });
});
