/**
 * Reads durations as the caller writes them: `250ms`, `30s`, `5m`, `2h`, `1d`, or milliseconds as a number. The one
 * reader of durations, for definitions, requests, settings and parameters.
 *
 * Not here: how a duration is shown to people, and instants (instant.ts).
 */
const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** The forms in text, for JSON Schema. */
export const DURATION_PATTERN = '^[0-9]+(ms|s|m|h|d)$';
export const DURATION_EXAMPLES = ['250ms', '30s', '5m', '2h', '1d'];
const FORM = /^(\d+)(ms|s|m|h|d)$/;

/** The accepted forms, for messages. */
export const DURATION_ACCEPTED = 'a duration such as 250ms, 30s, 5m, 2h or 1d, or a number of milliseconds';

/** Returns milliseconds, whole and from 0 to Number.MAX_SAFE_INTEGER; null when the value is not a duration. */
export function parseDuration(value: string | number): number | null {
  const ms = typeof value === 'number' ? value : fromText(value);
  return Number.isSafeInteger(ms) && ms >= 0 ? ms : null;
}

/** Like `parseDuration`, where every value arrives as text (settings, queries): digits alone are milliseconds. */
export function parseDurationText(text: string): number | null {
  return parseDuration(/^\d+$/.test(text) ? Number(text) : text);
}

function fromText(text: string): number {
  const [, amount, unit] = FORM.exec(text) ?? [];
  return unit === undefined ? Number.NaN : Number(amount) * UNIT_MS[unit]!;
}
