/**
 * Reads one field of a definition: its value with the default filled in, and a problem when it is not allowed.
 *
 * An absent field gets its default. A present field must have the right type: null is not "absent".
 */

import { pointerSegment } from '../core/problem.ts';
import { DURATION_ACCEPTED, parseDuration } from '../core/time/duration.ts';
import { describe, listNames, type ProblemList, quote } from './problem-list.ts';

export type Fields = Record<string, unknown>;

/** A place in the document with the list its problems go to. */
export interface FieldReader {
  readonly fields: Fields;
  readonly pointer: string;
  readonly problems: ProblemList;
}

/** Ten years: longer than any run, and safe for every timer and interval it is used in. */
const LONGEST_MS = 3_650 * 86_400_000;

/** The field's own value; undefined when it is absent (inherited names such as `constructor` are absent). */
export function fieldOf(fields: Fields, name: string): unknown {
  return Object.hasOwn(fields, name) ? fields[name] : undefined;
}

export function refuseUnknownFields(
  { fields, pointer, problems }: FieldReader,
  allowed: readonly string[],
): void {
  for (const name of Object.keys(fields)) {
    if (allowed.includes(name)) continue;
    problems.add(pointer + pointerSegment(name), 'unknown_field', () => {
      const hint = problems.suggest(name, allowed);
      return `There is no field ${quote(name)} here.${hint} Allowed are ${listNames(allowed, 20)}.`;
    });
  }
}

/** `name` as text, or null; not empty unless it is absent. */
export function readText(reader: FieldReader, name: string): string | null {
  const value = fieldOf(reader.fields, name);
  if (value === undefined) return null;
  if (typeof value === 'string') return value;
  wrongType(reader, name, value, 'text');
  return null;
}

export interface IntegerRange {
  min: number;
  max: number;
}

export function readInteger<D>(
  reader: FieldReader,
  name: string,
  range: IntegerRange,
  absent: D,
): number | D {
  const value = fieldOf(reader.fields, name);
  if (value === undefined) return absent;
  if (typeof value !== 'number') {
    wrongType(reader, name, value, 'a whole number');
    return absent;
  }
  if (Number.isInteger(value) && value >= range.min && value <= range.max) return value;
  const message = `"${name}" is ${value}; give a whole number from ${range.min} to ${range.max}.`;
  reader.problems.add(place(reader, name), 'invalid_value', message);
  return absent;
}

export function readBoolean(reader: FieldReader, name: string, absent: boolean): boolean {
  const value = fieldOf(reader.fields, name);
  if (value === undefined) return absent;
  if (typeof value === 'boolean') return value;
  wrongType(reader, name, value, 'true or false');
  return absent;
}

export function readChoice<C extends string>(
  reader: FieldReader,
  name: string,
  choices: readonly C[],
  absent: C,
): C {
  const value = fieldOf(reader.fields, name);
  if (value === undefined) return absent;
  const found = choices.find((choice) => choice === value);
  if (found !== undefined) return found;
  const hint = typeof value === 'string' ? reader.problems.suggest(value, choices) : '';
  const message = `"${name}" is ${describe(value)}; allowed are ${choices.join(', ')}.${hint}`;
  reader.problems.add(place(reader, name), 'invalid_value', message);
  return absent;
}

/** Milliseconds, or null when the field is absent or wrong. */
export function readDuration(reader: FieldReader, name: string, zero: 'allowed' | 'refused'): number | null {
  const value = fieldOf(reader.fields, name);
  if (value === undefined) return null;
  const ms = typeof value === 'string' || typeof value === 'number' ? parseDuration(value) : null;
  if (ms !== null && ms <= LONGEST_MS && (ms > 0 || zero === 'allowed')) return ms;
  const bounds = `${zero === 'allowed' ? 'at least 0' : 'more than 0'} and at most 3650d`;
  const message = `"${name}" is ${describe(value)}; give ${DURATION_ACCEPTED}, ${bounds}.`;
  reader.problems.add(place(reader, name), 'invalid_duration', message);
  return null;
}

/** Reports a field of a wrong type. */
export function wrongType(reader: FieldReader, name: string, value: unknown, wanted: string): void {
  const message = `"${name}" is ${describe(value)}; it must be ${wanted}, or left out.`;
  reader.problems.add(place(reader, name), 'invalid_type', message);
}

export function missing(reader: FieldReader, name: string, wanted: string): void {
  reader.problems.add(place(reader, name), 'missing_field', `"${name}" is missing; give ${wanted}.`);
}

export function place(reader: FieldReader, name: string): string {
  return reader.pointer + pointerSegment(name);
}
