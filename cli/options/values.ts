/**
 * The values of options: each reader returns the value of the text, or refuses it.
 */
import { InvalidArgumentError } from 'commander';

export function append(value: string, before: string[]): string[] {
  return [...before, value];
}

export function integer(value: string): number {
  if (!/^-?\d{1,9}$/.test(value)) throw new InvalidArgumentError('It is not a whole number.');
  return Number(value);
}

export function seconds(value: string): number {
  const number = integer(value);
  if (number < 0) throw new InvalidArgumentError('It is not a whole number from 0.');
  return number;
}

export function wholeNumber(value: string): number {
  const number = integer(value);
  if (number < 1) throw new InvalidArgumentError('It is not a whole number from 1.');
  return number;
}
