import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../../tests/support/core/cases.ts';
import { isExactJsonNumber, isExactNumber } from './exact-number.ts';

/** Value of a decimal literal as a fraction of integers, by the definition of the notation. */
function fractionOf(literal: string): [bigint, bigint] {
  const [, sign, whole, fraction = '', exponent = '0'] = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/i.exec(
    literal,
  )!;
  const digits = BigInt(`${sign}${whole}${fraction}`);
  const power = Number(exponent) - fraction.length;
  return power >= 0 ? [digits * 10n ** BigInt(power), 1n] : [digits, 10n ** BigInt(-power)];
}

function isEqual([a, b]: [bigint, bigint], [c, d]: [bigint, bigint]): boolean {
  return a * d === c * b;
}

const DIGITS = fc.stringMatching(/^(0|[1-9][0-9]{0,24})$/);
const LITERALS = fc
  .tuple(
    fc.constantFrom('', '-'),
    DIGITS,
    fc.option(fc.stringMatching(/^[0-9]{1,22}$/), { nil: null }),
    fc.option(fc.tuple(fc.constantFrom('e', 'E', 'e+'), fc.integer({ min: 0, max: 40 })), { nil: null }),
  )
  .map(
    ([sign, whole, fraction, exponent]) =>
      sign + whole + (fraction === null ? '' : `.${fraction}`) + (exponent ?? []).join(''),
  );
const NEAR_POWERS = fc
  .tuple(fc.integer({ min: 50, max: 80 }), fc.integer({ min: -3, max: 3 }))
  .map(([power, step]) => String(2n ** BigInt(power) + BigInt(step)));

describe('a number is exact', () => {
  test.each([
    '0',
    '-0',
    '0.1',
    '1.10',
    '1e-400',
    '0e999999999999',
    '3.14159265358979323846',
    '9007199254740992',
    '-9007199254740992',
    '9007199254740994',
    '9.007199254740992e15',
    '90071992547409920e-1',
    '1152921504606847000',
    '1e21',
    '1E+23',
    '6.02214076e23',
    '100000000000000000000000',
    '1.7976931348623157e308',
  ])('as %s is', (literal) => {
    expect(isExactNumber(literal)).toBeTrue();
    expect(isExactJsonNumber(literal)).toBeTrue();
  });

  test.each([
    '9007199254740993',
    '-9007199254740993',
    '9007199254740993.0',
    '9007199254740992.5',
    '9007199254740991.5',
    '9.007199254740993e15',
    '90071992547409930E-1',
    '1152921504606846976',
    '18446744073709551615',
    '12345678901234567890',
    '12345678901234567890.0',
    '12345678901234567890.5',
    '100000000000000000000001',
    '1e400',
    '-1e400',
    `1${'0'.repeat(400)}`,
  ])('and %s is not', (literal) => {
    expect(isExactNumber(literal)).toBeFalse();
    expect(isExactJsonNumber(literal)).toBeFalse();
  });

  test.each([
    ['0x1F', true],
    ['0o17', true],
    ['0x20000000000000', true],
    ['0x20000000000001', false],
    ['0o400000000000000001', false],
    [`0x${'F'.repeat(400)}`, false],
    ['+9007199254740993', false],
    ['+9007199254740994', true],
    ['.5', true],
  ])('also as YAML writes it: %s %p', (literal, exact) => expect(isExactNumber(literal)).toBe(exact));

  test('when what is written for its double has the same value, from 2^53 on', () => {
    fc.assert(
      fc.property(fc.oneof(LITERALS, NEAR_POWERS), (literal) => {
        const value = Number(literal);
        const same =
          Number.isFinite(value) && isEqual(fractionOf(literal), fractionOf(JSON.stringify(value)));
        expect(isExactNumber(literal)).toBe(same || Math.abs(value) < 2 ** 53);
        expect(isExactJsonNumber(literal)).toBe(isExactNumber(literal));
      }),
      cases(3_000),
    );
  });

  test('when it is an integer below 2^53', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        expect(isExactNumber(String(value))).toBeTrue();
        expect(BigInt(JSON.stringify(Number(String(value))))).toBe(BigInt(value));
      }),
      cases(100),
    );
  });

  test('when it is what JSON.stringify wrote', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) =>
        expect(isExactJsonNumber(JSON.stringify(value))).toBeTrue(),
      ),
      cases(2_000),
    );
  });

  test('or is not, in time that grows with its length alone', () => {
    for (const literal of [
      `1${'0'.repeat(1_000_000)}1`,
      `0.${'0'.repeat(1_000_000)}1e1000010`,
      `0x${'0'.repeat(1_000_000)}1`,
    ])
      expect(isExactNumber(literal)).toBe(!literal.startsWith('1'));
  });
});
