/**
 * The description of one environment variable, and the kinds of variables.
 */
import type { z } from 'zod';
import { bytes, duration, integer } from './values.ts';

export interface Variable<T> {
  readonly name: string;
  /** As it would be written; null when there is none. */
  readonly default: string | null;
  readonly accepted: string;
  readonly meaning: string;
  /** Its value is never shown. */
  readonly secret: boolean;
  readonly schema: z.ZodType<T, string>;
  /** The value when the variable is not set. */
  readonly unset: T;
}

type Schema<T> = z.ZodType<T, string>;

export function preset<T>(
  name: string,
  value: string,
  schema: Schema<T>,
  accepted: string,
  meaning: string,
): Variable<T> {
  return { name, default: value, accepted, meaning, secret: false, schema, unset: schema.parse(value) };
}

export function optional<T>(
  name: string,
  unset: T,
  schema: Schema<NonNullable<T>>,
  accepted: string,
  meaning: string,
  secret = false,
): Variable<T> {
  return { name, default: null, accepted, meaning, secret, schema, unset };
}

export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;
export const MIB = 1_048_576;
export const GIB = 1_024 * MIB;

export function size(name: string, value: string, meaning: string, smallest = 1_024) {
  const accepted = `a size from ${smallest} bytes to 1GiB, such as 500000, 500KB or 10MiB`;
  return preset(name, value, bytes(smallest, GIB), accepted, meaning);
}

export function time(
  name: string,
  value: string,
  meaning: string,
  [smallest, largest]: [number, number],
  words: string,
) {
  const accepted = `a duration ${words}, such as 500ms, 30s or 5m, or milliseconds as a number`;
  return preset(name, value, duration(smallest, largest), accepted, meaning);
}

export function count(name: string, value: string, largest: number, meaning: string) {
  return preset(name, value, integer(1, largest), `a whole number from 1 to ${largest}`, meaning);
}
