/**
 * A line of the log as it is written: without secrets and passwords, of a bounded length, and with everything that
 * cannot be seen written as an escape.
 *
 * A line that comes is one JSON object, and so is a line that goes. Most lines go as they came.
 *
 * The order matters: secrets are masked in the whole text, only then is it cut.
 */
import type { Json, JsonObject } from '../core/json/json.ts';
import type { Masker } from '../core/masking/masker.ts';
import { hideCredentials } from '../core/text/credentials.ts';
import { cutText } from '../core/text/cut.ts';
import { visibleLines, visibleText } from '../core/text/visible.ts';

/** Of a text in a line, such as a message or a stack. */
export const MAX_LOG_TEXT_LENGTH = 10_000;
export const MAX_LOG_LINE_LENGTH = 50_000;

/** What is kept of a line that is too long all the same; even written as escapes it has room. */
const EXCERPT = { fields: 12, fieldLength: 200, messageLength: 2_000, restLength: 3_000 };

/** The line for programs: JSON. */
export function writtenLine(line: string, masker: Masker): string {
  const json = line.trimEnd();
  const visible = visibleText(json);
  const isShort = json.length <= MAX_LOG_TEXT_LENGTH;
  if (isShort && visible === json && !masker.suspects(json) && !mayHoldUser(json)) return line;
  const object = readable(json, masker);
  const whole = visibleText(JSON.stringify(object));
  return `${whole.length <= MAX_LOG_LINE_LENGTH ? whole : visibleText(JSON.stringify(excerpt(object)))}\n`;
}

/** The line for what formats it for people: JSON, in which texts are as they are shown. */
export function shownLine(line: string, masker: Masker): string {
  const object = readable(line.trimEnd(), masker);
  const isShort = JSON.stringify(object).length <= MAX_LOG_TEXT_LENGTH;
  return JSON.stringify(shown(isShort ? object : excerpt(object)));
}

/** Lines that are no part of the log, such as the reason for which a process does not start. */
export function plainText(text: string, masker: Masker): string {
  return visibleLines(cutText(hideCredentials(masker.text(text)), MAX_LOG_TEXT_LENGTH));
}

function readable(json: string, masker: Masker): JsonObject {
  return mapTexts(masker.value(parsed(json)), (text) =>
    cutText(hideCredentials(text), MAX_LOG_TEXT_LENGTH),
  ) as JsonObject;
}

/** What is no JSON object is a message. */
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

/** A stack has lines, and they are shown as lines. */
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
