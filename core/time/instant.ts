/**
 * Reads instants as the caller writes them: ISO 8601 with a zone. The one reader of instants, for requests and
 * parameters.
 *
 * Days missing from the calendar, hour 24 and years outside the database's range are refused: `Date.parse` reads some
 * of them as the following day.
 */
/** The forms in text, for JSON Schema, which cannot check whether a day exists. */
export const INSTANT_OR_DATE_PATTERN =
  '^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:[0-9]{2}))?$';
const FORM = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.\d{1,9})?)?(?:Z|[+-](\d\d):(\d\d))$/;
const DATE = /^\d{4}-\d\d-\d\d$/;

/** The years that both the database and ISO 8601 with four digits can represent. */
const FIRST_MS = -62_135_596_800_000;
const LAST_MS = 253_402_300_799_999;

/** The accepted forms, for messages. */
export const INSTANT_ACCEPTED =
  'an ISO 8601 instant with a time zone, such as 2027-01-31T08:00:00Z, in the years 1 to 9999 UTC';

/** Returns milliseconds since 1970; null when the text is not an instant. */
export function parseInstant(text: string): number | null {
  const match = FORM.exec(text);
  if (match === null) return null;
  const [year, month, day, hour, minute, second, zoneHour, zoneMinute] = match
    .slice(1)
    .map((part) => Number(part ?? 0));
  const isTime = hour! < 24 && minute! < 60 && second! < 60 && zoneHour! < 24 && zoneMinute! < 60;
  return isTime && isDay(year!, month!, day!) ? checkedInstant(Date.parse(text)) : null;
}

/** Like `parseInstant`, and also reads a date as midnight UTC. */
export function parseInstantOrDate(text: string): number | null {
  return parseInstant(DATE.test(text) ? `${text}T00:00:00Z` : text);
}

/** Returns the milliseconds since 1970 unchanged; null when they are outside the years 1 to 9999. */
export function checkedInstant(ms: number): number | null {
  return Number.isFinite(ms) && ms >= FIRST_MS && ms <= LAST_MS ? ms : null;
}

function isDay(year: number, month: number, day: number): boolean {
  const isLeap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  const days = month === 2 && isLeap ? 29 : (DAYS[month - 1] ?? 0);
  return day >= 1 && day <= days;
}

const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as const;
