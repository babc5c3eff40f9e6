/**
 * The one rule for numbers from outside: a number keeps its value or is refused.
 *
 * The engine keeps a number as a double and writes the shortest text that stands for it. A number from 2^53 on is
 * exact when that text has the same value: 9007199254740992 and 1e23 are, 9007199254740993 (which would become
 * 9007199254740992), 12345678901234567890.0 and 1e400 (which no double holds) are not. Below 2^53 every integer is
 * exact, and a fraction has the digits of a double, as everywhere in JSON: 0.1 stays 0.1.
 *
 * So the engine accepts every number it writes, and two different accepted numbers stay different.
 */
import { cutText } from '../text/cut.ts';

const FIRST_UNCERTAIN = 2 ** 53;

/** Length up to which every number is exact, whatever its digits: 15 digits and a sign fit into a double. */
const CERTAINLY_EXACT_LENGTH = 15;

/** Characters of a number shown in a message. */
const MAX_SHOWN_LENGTH = 48;

/**
 * Returns whether a number keeps its value. `literal` is written as in JSON, YAML or JavaScript (`+1`, `.5`, `0x1F`,
 * `0o17`, `0b1`).
 */
export function isExactNumber(literal: string): boolean {
  const value = Number(literal);
  if (Math.abs(value) < FIRST_UNCERTAIN) return true;
  if (!Number.isFinite(value)) return false;
  return decimalOf(/^0[xob]/i.test(literal) ? String(BigInt(literal)) : literal) === decimalOf(String(value));
}

/** Like `isExactNumber`, for numbers of JSON, most of which are short. */
export function isExactJsonNumber(literal: string): boolean {
  return (literal.length <= CERTAINLY_EXACT_LENGTH && !/e/i.test(literal)) || isExactNumber(literal);
}

/** Returns a number as messages show it. */
export function shownNumber(literal: string): string {
  return cutText(literal, MAX_SHOWN_LENGTH);
}

/** A sentence about a number that is not exact. */
export function inexactNumberMessage(literal: string): string {
  return `The number ${shownNumber(literal)} would not keep its value: numbers are doubles, exact up to 2^53. Write it as text, in quotes.`;
}

/** Returns the same text for the same value, however a finite decimal number is written. */
function decimalOf(literal: string): string {
  const [mantissa = '', exponent = '0'] = literal.replace(/^\+/, '').toLowerCase().split('e');
  const sign = mantissa.startsWith('-') ? '-' : '';
  const [whole = '', fraction = ''] = mantissa.slice(sign.length).split('.');
  const digits = whole + fraction;
  let end = digits.length;
  while (end > 0 && digits[end - 1] === '0') end--;
  let start = 0;
  while (start < end && digits[start] === '0') start++;
  return `${sign}${digits.slice(start, end)}e${Number(exponent) - fraction.length + digits.length - end}`;
}
