/**
 * Base64 that is wrapped into lines, as in mails and PEM files: its lines are joined, and searched as one.
 */
import { PIECE, type Pieces } from '../pieces.ts';
import { type Layer, LayerWriter } from './decode.ts';

/** Characters of a line: those of shorter ones are more often words than base64. */
const MIN_LINE = 16;
/** A line break as it is or escaped, or the carriage return before it, without the backslashes before them. */
const BREAK =
  /[\r\n]|\\(?:[nr]|x0[aAdD]|u000[aAdD]|u\{0{0,5}[aAdD]\}|01[25])|%(?:25){0,8}0[aAdD]|&(?:amp;){0,8}#(?:1[03]|[xX]0?[aAdD]);/;
const BREAK_HERE = new RegExp(BREAK, 'y');

const CARRIAGE_RETURN = 13;
const IS_BASE64 = charactersOf(/[A-Za-z0-9+/_-]/);
/** `+` and `/` may be escaped in a line. */
const IS_WRITTEN_BASE64 = charactersOf(/[A-Za-z0-9+/_%&#;\\{}-]/);
const BEGINS_BREAK = charactersOf(/[\r\n\\%&]/);

function charactersOf(pattern: RegExp): Uint8Array {
  return Uint8Array.from({ length: 128 }, (_, code) => (pattern.test(String.fromCharCode(code)) ? 1 : 0));
}

/** Returns whether a text, however it is escaped, may hold wrapped base64. */
export function mayBeWrapped(text: string): boolean {
  if (!BREAK.test(text)) return false;
  /** Characters of a line up to here. */
  let line = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (line >= MIN_LINE && BEGINS_BREAK[code] === 1) {
      BREAK_HERE.lastIndex = at;
      if (BREAK_HERE.test(text)) return true;
    }
    line = IS_WRITTEN_BASE64[code] === 1 ? line + 1 : 0;
  }
  return false;
}

/** Returns a layer with the lines of wrapped base64 joined; null: there are none. */
export function* unwrapped(layer: Layer): Pieces<Layer | null> {
  const { text } = layer;
  let writer: LayerWriter | null = null;
  let pausedAt = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) {
    if (at - pausedAt > PIECE) {
      pausedAt = at;
      yield;
    }
    const end = text.charCodeAt(at - 1) === CARRIAGE_RETURN ? at - 1 : at;
    if (!endsLine(text, end)) continue;
    writer ??= new LayerWriter(layer);
    writer.copyUpTo(end);
    writer.skipTo(afterIndent(text, at + 1));
  }
  writer?.copyUpTo(text.length);
  return writer?.end() ?? null;
}

/** Returns whether as many characters as a line has at least are before a place. */
function endsLine(text: string, end: number): boolean {
  if (end < MIN_LINE) return false;
  for (let at = end - 1; at >= end - MIN_LINE; at -= 1)
    if (IS_BASE64[text.charCodeAt(at)] !== 1) return false;
  return true;
}

function afterIndent(text: string, begin: number): number {
  let at = begin;
  while (text[at] === ' ' || text[at] === '\t') at += 1;
  return at;
}
