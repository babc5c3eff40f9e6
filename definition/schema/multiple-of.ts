/**
 * `multipleOf` by the decimal text of the numbers, as people read them: 19.99 is a multiple of 0.01, although the
 * quotient of the two doubles is 1998.9999999999998.
 */

interface Decimal {
  readonly digits: bigint;
  /** The number is `digits` times ten to this power. */
  readonly power: number;
}

const FORM = /^(-?\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/;

/** Returns whether a number is a whole multiple of the divisor, which is more than 0. */
export function isMultipleOf(divisor: number): (value: number) => boolean {
  const by = decimalOf(divisor);
  return (value) => {
    if (Number.isSafeInteger(value) && Number.isSafeInteger(divisor)) return value % divisor === 0;
    if (!Number.isFinite(value)) return false;
    const of = decimalOf(value);
    const power = Math.min(of.power, by.power);
    return scaled(of, power) % scaled(by, power) === 0n;
  };
}

/** The shortest decimal that is read as this double: for numbers with up to 15 digits, the written text. */
function decimalOf(number: number): Decimal {
  const [, whole = '0', fraction = '', exponent = '0'] = FORM.exec(String(number)) ?? [];
  return { digits: BigInt(whole + fraction), power: Number(exponent) - fraction.length };
}

function scaled({ digits, power }: Decimal, to: number): bigint {
  return digits * 10n ** BigInt(power - to);
}
