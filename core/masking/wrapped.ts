/**
 * Base64 that is wrapped into lines, as in mails and PEM files: its lines are joined, and searched as one.
 */
import type { Layer } from './decode.ts';
import { placeIn } from './decode.ts';

/** Characters of a line: those of shorter ones are more often words than base64. */
const MIN_LINE = 16;
const LINE_BREAK = /\r?\n[ \t]*/g;
/** A line break as it is or escaped, without the backslashes before it. */
const WRITTEN_BREAK = /\n|\\(?:n|x0[aA]|u000[aA]|u\{0{0,5}[aA]\}|012)|%(?:25)*0[aA]|&#(?:10|[xX]0?[aA]);/g;
/** A carriage return before one. */
const WRITTEN_RETURN =
  /(?:\r|\\(?:r|x0[dD]|u000[dD]|u\{0{0,5}[dD]\}|015)|%(?:25)*0[dD]|&#(?:13|[xX]0?[dD]);)$/;
/** Most characters of an escaped carriage return with its backslashes. */
const MAX_RETURN = 24;

const IS_BASE64 = charactersOf(/[A-Za-z0-9+/_-]/);
/** `+` and `/` may be escaped in a line. */
const IS_WRITTEN_BASE64 = charactersOf(/[A-Za-z0-9+/_%&#;\\{}-]/);

function charactersOf(pattern: RegExp): Uint8Array {
  return Uint8Array.from({ length: 128 }, (_, code) => (pattern.test(String.fromCharCode(code)) ? 1 : 0));
}

/** Returns whether a text, however it is escaped, may hold wrapped base64. */
export function mayBeWrapped(text: string): boolean {
  for (const { index } of text.matchAll(WRITTEN_BREAK)) {
    const before = text.charCodeAt(index - 1);
    // Most breaks are told by the character before them.
    if (endsLine(text, index, IS_WRITTEN_BASE64)) return true;
    if (before !== 13 && before !== 92 && !RETURN_ENDS.has(before)) continue;
    const written = text.slice(Math.max(0, index - MAX_RETURN), index).replace(/\\+$/, '');
    const line = written.replace(WRITTEN_RETURN, '').replace(/\\+$/, '');
    if (endsLine(text, index - Math.min(index, MAX_RETURN) + line.length, IS_WRITTEN_BASE64)) return true;
  }
  return false;
}

/** The last characters of `\r`, `%0D`, `\015`, `&#13;` and `\u{d}`. */
const RETURN_ENDS = new Set([...'rDd5;}'].map((end) => end.charCodeAt(0)));

/** Returns a layer with the lines of wrapped base64 joined; null: there are none. */
export function unwrapped(layer: Layer): Layer | null {
  const { text } = layer;
  const parts: string[] = [];
  const starts = new Uint32Array(text.length + 1);
  let copied = 0;
  let length = 0;
  const copyUpTo = (end: number) => {
    parts.push(text.slice(copied, end));
    for (let at = copied; at < end; at += 1) starts[length++] = placeIn(layer, at);
  };
  for (const { 0: written, index } of text.matchAll(LINE_BREAK)) {
    if (!endsLine(text, index, IS_BASE64)) continue;
    copyUpTo(index);
    copied = index + written.length;
  }
  if (copied === 0) return null;
  copyUpTo(text.length);
  starts[length] = placeIn(layer, text.length);
  return { text: parts.join(''), starts: starts.subarray(0, length + 1) };
}

/** Returns whether as many characters as a line has at least are before a place. */
function endsLine(text: string, end: number, isOfLine: Uint8Array): boolean {
  if (end < MIN_LINE) return false;
  for (let at = end - 1; at >= end - MIN_LINE; at -= 1) if (isOfLine[text.charCodeAt(at)] !== 1) return false;
  return true;
}
