/**
 * Durations as people write them: `250ms`, `30s`, `5m`, `2h`, `1d`, or milliseconds as a number.
 *
 * Not here: how a duration is shown to people, and instants.
 */
const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const PATTERN = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?$/;

/** What parseDuration takes, for messages. */
export const DURATION_ACCEPTED = 'a duration such as 250ms, 30s, 5m, 2h or 1d, or a number of milliseconds';

/**
 * Milliseconds, whole and from 0 to Number.MAX_SAFE_INTEGER; null when the value is no duration.
 * A string without a unit is milliseconds. Fractions (`1.5s`) are allowed where whole milliseconds come out.
 */
export function parseDuration(value: string | number): number | null {
  const ms = typeof value === 'number' ? value : fromText(value);
  return ms !== null && Number.isSafeInteger(ms) && ms >= 0 ? ms : null;
}

function fromText(text: string): number | null {
  const match = PATTERN.exec(text.trim());
  if (match === null) return null;
  const amount = Number(match[1]) * UNIT_MS[match[2] ?? 'ms']!;
  // 0.1s is 100.00000000000001 in floating point for some factors; a real fraction of a millisecond stays one.
  const rounded = Math.round(amount);
  return Math.abs(amount - rounded) < 1e-6 ? rounded : amount;
}
