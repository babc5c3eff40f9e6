/**
 * PostgreSQL array literals (manual section 8.15.2), built for statements that take whole batches.
 *
 * The driver's own conversion escapes every element of every array with two regular expressions, which on the hot
 * path costs more than the rest of a statement. Here, elements without special characters (uuids, numbers, booleans,
 * enum words) are joined unchanged.
 */
type Plain = string | number | boolean | null;

/** Elements must contain no quotes, commas, braces, backslashes or white space: ids, numbers, statuses. */
export function plainArray(values: readonly Plain[]): string {
  return `{${values.map((value) => value ?? 'NULL').join(',')}}`;
}

/** Accepts any text, JSON included. */
export function textArray(values: readonly (string | null)[]): string {
  return `{${values.map((value) => (value === null ? 'NULL' : quoted(value))).join(',')}}`;
}

/**
 * Accepts JSON texts: without control characters, as `JSON.stringify` and PostgreSQL write them. A JSON string is then
 * quoted as an element is, and by far the fastest way to quote: texts may have megabytes.
 */
export function jsonArray(texts: readonly (string | null)[]): string {
  return `{${texts.map((text) => (text === null ? 'NULL' : JSON.stringify(text))).join(',')}}`;
}

const SPECIAL = /["\\]/g;

function quoted(value: string): string {
  return `"${value.replace(SPECIAL, '\\$&')}"`;
}
