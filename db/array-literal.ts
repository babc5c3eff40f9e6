/**
 * PostgreSQL array literals (manual section 8.15.2), built for statements that take whole batches.
 *
 * Not the driver's own conversion: it escapes every element of every array with two regular expressions,
 * which on the hot path costs more than the rest of a statement. Elements that can hold no special
 * character (uuids, numbers, booleans, enum words) are joined as they are.
 */
type Plain = string | number | boolean | null;

/** Elements must be free of quotes, commas, braces, backslashes and white space: ids, numbers, statuses. */
export function plainArray(values: readonly Plain[]): string {
  return `{${values.map((value) => value ?? 'NULL').join(',')}}`;
}

/** Any text, JSON included. */
export function textArray(values: readonly (string | null)[]): string {
  return `{${values.map((value) => (value === null ? 'NULL' : quoted(value))).join(',')}}`;
}

const SPECIAL = /["\\]/g;

function quoted(value: string): string {
  return `"${value.replace(SPECIAL, '\\$&')}"`;
}
