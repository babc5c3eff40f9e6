/**
 * Writes a large value as JSON a piece at a time: the work can be paused between two pieces.
 *
 * Large parts that were parsed from JSON are not written anew: their text is known.
 *
 * Invariant 1: for plain data (scalars, arrays, plain objects) the text is JSON of the same value, that of `JSON.stringify` where nothing of it was parsed.
 * Invariant 2: no recursion; between two yields a bounded number of values is written, apart from one string.
 */

import { parsedText } from './parse-in-pieces.ts';

/** Values that are written at once, within some milliseconds. */
const MAX_LIGHT_VALUES = 5_000;
const MAX_LIGHT_CHARACTERS = 128 * 1_024;

/** White space between the parts of a JSON text; a space may also be in a string. */
const SPACE = /[\t\n\r]/;

interface Frame {
  readonly node: object;
  /** Null for an array. */
  readonly keys: readonly string[] | null;
  readonly length: number;
  next: number;
  /** Items or members written so far, for the commas. */
  written: number;
}

/** Returns whether a value is written within some milliseconds. Stops counting when it is not. */
export function isLightValue(value: unknown): boolean {
  const open: unknown[] = [value];
  let values = 0;
  let characters = 0;
  for (; open.length > 0; values += 1) {
    const node = open.pop();
    if (typeof node === 'string') characters += node.length;
    if (typeof node === 'object' && node !== null) {
      const items = Array.isArray(node) ? node : Object.values(node);
      if (values + open.length + items.length > MAX_LIGHT_VALUES) return false;
      for (const item of items) open.push(item);
    }
    if (characters > MAX_LIGHT_CHARACTERS) return false;
  }
  return true;
}

/**
 * Writes JSON without white space, also where a part was parsed from a text that has some.
 */
export function* writeCompactJsonInPieces(value: unknown): Generator<void, string | undefined> {
  const json = yield* writeJsonInPieces(value);
  return json === undefined || !SPACE.test(json) ? json : yield* writeJsonInPieces(value, () => undefined);
}

/**
 * Returns undefined for a value that JSON does not have.
 *
 * @param known returns the JSON of an array or object where it is known
 */
export function* writeJsonInPieces(value: unknown, known = parsedText): Generator<void, string | undefined> {
  const open: Frame[] = [];
  let text = begin(value, open, known);
  let pausedAt = 0;
  let values = 0;
  while (open.length > 0) {
    const frame = open[open.length - 1]!;
    if (frame.next >= frame.length) {
      text += frame.keys === null ? ']' : '}';
      open.pop();
      continue;
    }
    values += 1;
    if (values % MAX_LIGHT_VALUES === 0 || text!.length - pausedAt > MAX_LIGHT_CHARACTERS) {
      pausedAt = text!.length;
      yield;
    }
    text += next(frame, open, known);
  }
  return text;
}

/** Returns the text of the next item or member, up to where a container begins. */
function next(frame: Frame, open: Frame[], known: typeof parsedText): string {
  const index = frame.next++;
  const key = frame.keys?.[index];
  const value = (frame.node as Record<string | number, unknown>)[key ?? index];
  const text = begin(value, open, known);
  if (key !== undefined && text === undefined) return '';
  const comma = frame.written++ > 0 ? ',' : '';
  return key === undefined ? `${comma}${text ?? 'null'}` : `${comma}${JSON.stringify(key)}:${text}`;
}

/** Returns the text of a scalar, or opens a container and returns its bracket. */
function begin(value: unknown, open: Frame[], known: typeof parsedText): string | undefined {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const text = known(value);
  if (text !== undefined) return text;
  const keys = Array.isArray(value) ? null : Object.keys(value);
  const length = keys === null ? (value as unknown[]).length : keys.length;
  open.push({ node: value, keys, length, next: 0, written: 0 });
  return keys === null ? '[' : '{';
}
