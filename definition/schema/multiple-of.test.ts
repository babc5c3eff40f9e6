import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../../tests/support/core/cases.ts';
import { createValidator } from './json-schema.ts';
import { isMultipleOf } from './multiple-of.ts';

describe('multipleOf', () => {
  test.each([
    ...[19.99, 2.22, 0.07, 0, -0, -19.99, 1e21, 123456789.01, 1e300].map((value) => [value, 0.01] as const),
    ...([
      [0.3, 0.1],
      [4.35, 0.05],
      [0.5, 1e-10],
      [1e-300, 1e-300],
      [5e-324, 5e-324],
      [1e22, 10],
      [1.7976931348623157e308, 1e292],
      [6, 1.5],
      [-9, 3],
    ] as const),
  ])('%d is a multiple of %d', (value, divisor) => {
    expect(isMultipleOf(divisor)(value)).toBeTrue();
  });

  test.each([
    [19.999, 0.01],
    [19.990000000001, 0.01],
    [0.07000000000000002, 0.01],
    [1e-300, 1],
    [5e-324, 0.01],
    [0.35, 0.1],
    [10, 3],
    [7, 1.5],
    [Number.POSITIVE_INFINITY, 1],
    [Number.NaN, 1],
  ])('%d is no multiple of %d', (value, divisor) => {
    expect(isMultipleOf(divisor)(value)).toBeFalse();
  });

  test('is what counting in the smallest unit says, for amounts with any number of decimals', () => {
    const decimals = fc.nat(6);
    const property = fc.property(
      decimals,
      decimals,
      fc.integer(),
      fc.integer({ min: 1, max: 9_999 }),
      (a, b, n, d) => {
        const [value, divisor] = [Number(`${n}e-${a}`), Number(`${d}e-${b}`)];
        const unit = Math.max(a, b);
        const counted = (BigInt(n) * 10n ** BigInt(unit - a)) % (BigInt(d) * 10n ** BigInt(unit - b)) === 0n;
        expect(isMultipleOf(divisor)(value)).toBe(counted);
      },
    );
    fc.assert(property, cases(2_000));
  });

  test('in a schema asks numbers only, and says of what they must be a multiple', () => {
    const validate = createValidator({ multipleOf: 0.01 });
    expect([19.99, 2.22, 'text', null].map((value) => validate(value))).toEqual([[], [], [], []]);
    expect(validate(0.005)).toEqual([
      { pointer: '', code: 'invalid_value', message: 'The value is 0.005; it must be a multiple of 0.01.' },
    ]);
  });
});
