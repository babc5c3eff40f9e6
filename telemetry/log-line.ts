/**
 * Formats a line of the log: without secrets and passwords, of a bounded length, and with invisible
 * characters written as escapes.
 *
 * Input and output are one JSON object per line. Most lines pass unchanged.
 *
 * The order matters: what would take long is cut first, then secrets are masked, then texts get their length. The masker
 * hides what is left of a secret before a cut.
 */
import type { Json, JsonObject } from '../core/json/json.ts';
import type { Masker } from '../core/masking/masker.ts';
import { hideCredentials } from '../core/text/credentials.ts';
import { cutText } from '../core/text/cut.ts';
import { visibleLines, visibleText } from '../core/text/visible.ts';

/** Limit for a text in a line, such as a message or a stack. */
export const MAX_LOG_TEXT_LENGTH = 10_000;
export const MAX_LOG_LINE_LENGTH = 50_000;

/** Characters of a line, and of a text in it, that are masked: more than are shown, since masking makes most shorter. */
const MAX_MASKED_LINE = 4 * MAX_LOG_LINE_LENGTH;
const MAX_MASKED_TEXT = 4 * MAX_LOG_TEXT_LENGTH;

/** The parts kept of a line that is still too long; they fit even when written as escapes. */
const EXCERPT = { fields: 12, fieldLength: 200, messageLength: 2_000, restLength: 3_000 };

/** Returns the line for programs: JSON. */
export function writtenLine(line: string, masker: Masker): string {
  const json = line.trimEnd();
  const isShort = json.length <= MAX_LOG_TEXT_LENGTH;
  if (isShort && visibleText(json) === json && !masker.suspects(json) && !mayHoldUser(json)) return line;
  const object = readable(json, masker);
  const whole = visibleText(JSON.stringify(object));
  return `${whole.length <= MAX_LOG_LINE_LENGTH ? whole : visibleText(JSON.stringify(excerpt(object)))}\n`;
}

/** Returns the line for a formatter for people: JSON, with texts ready to be shown. */
export function shownLine(line: string, masker: Masker): string {
  const object = readable(line.trimEnd(), masker);
  const isShort = JSON.stringify(object).length <= MAX_LOG_TEXT_LENGTH;
  return JSON.stringify(shown(isShort ? object : excerpt(object)));
}

/** Returns text outside the log in safe form, such as the reason for which a process does not start. */
export function plainText(text: string, masker: Masker): string {
  const bounded = cutText(text, MAX_MASKED_TEXT);
  return visibleLines(cutText(hideCredentials(masker.text(bounded)), MAX_LOG_TEXT_LENGTH));
}

function readable(json: string, masker: Masker): JsonObject {
  const object = mapTexts(parsed(json), (text) => cutText(text, MAX_MASKED_TEXT)) as JsonObject;
  const isLong = json.length > MAX_MASKED_LINE && JSON.stringify(object).length > MAX_MASKED_LINE;
  return mapTexts(masker.value(isLong ? excerpt(object) : object), (text) =>
    cutText(hideCredentials(text), MAX_LOG_TEXT_LENGTH),
  ) as JsonObject;
}

/** Text that is not a JSON object becomes a message. */
function parsed(json: string): JsonObject {
  try {
    return JSON.parse(json) as JsonObject;
  } catch {
    return { msg: json };
  }
}

function mayHoldUser(json: string): boolean {
  return json.includes('://') && /[@?&]/.test(json);
}

function excerpt(object: JsonObject): JsonObject {
  const { msg, ...fields } = object;
  const isSmall = (field: [string, Json]) => JSON.stringify(field).length <= EXCERPT.fieldLength;
  const small = Object.entries(fields).filter(isSmall).slice(0, EXCERPT.fields);
  const kept = Object.fromEntries(small);
  const rest = Object.entries(fields).filter(([name]) => !Object.hasOwn(kept, name));
  const message = typeof msg === 'string' ? msg : JSON.stringify(msg ?? '');
  return {
    ...kept,
    msg: cutText(message, EXCERPT.messageLength),
    ...(rest.length === 0
      ? {}
      : { rest: cutText(JSON.stringify(Object.fromEntries(rest)), EXCERPT.restLength) }),
  };
}

/** A stack keeps its line breaks. */
function shown(value: Json, name = ''): Json {
  if (typeof value === 'string') return name === 'stack' ? visibleLines(value) : visibleText(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => shown(item));
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [visibleText(key), shown(member, key)]),
  );
}

function mapTexts(value: Json, change: (text: string) => string): Json {
  if (typeof value === 'string') return change(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => mapTexts(item, change));
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [change(key), mapTexts(member, change)]),
  );
}
