/**
 * Finds the first fault of a JSON text (RFC 8259), without building a value and without recursion.
 *
 * For messages with a line, a column or a pointer: `JSON.parse` reports these on some runtimes only. For texts with a
 * fault:
 * json-survey.ts, which is faster, recognizes valid texts.
 */
import { pointerSegment } from '../problem.ts';

export interface JsonFault {
  kind: 'syntax' | 'depth' | 'duplicate_key';
  /** UTF-16 offset into the text. */
  offset: number;
  /** The fault, without its place: `a comma or "]" is missing`. */
  message: string;
}

/** Called for every number; `pointer` makes the JSON pointer of its place. */
export type OnNumber = (literal: string, pointer: () => string) => void;

interface Scan {
  readonly text: string;
  readonly maxDepth: number;
  readonly onNumber: OnNumber | undefined;
  at: number;
  /** One entry for each open bracket. */
  readonly open: Bracket[];
}

interface Bracket {
  /** The keys met so far; null for an array. */
  readonly keys: Set<string> | null;
  /** Segment of the value that is being read. */
  segment: string | number;
}

/** The token the scanner expects next. */
type Next = 'value' | 'value_or_end' | 'key' | 'key_or_end' | 'separator';

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /true|false|null/y;
const HEX4 = /^[0-9a-fA-F]{4}$/;

/** Returns the first fault of a text, or null when it is JSON of at most `maxDepth` levels without duplicate keys. */
export function scanJson(text: string, maxDepth: number, onNumber?: OnNumber): JsonFault | null {
  const scan: Scan = { text, maxDepth, onNumber, at: 0, open: [] };
  let next: Next | JsonFault = 'value';
  for (;;) {
    skipSpace(scan);
    if (next === 'separator' && scan.open.length === 0) break;
    next = advance(scan, next);
    if (typeof next === 'object') return next;
  }
  return scan.at === text.length ? null : fault(scan, 'there is something after the end of the value');
}

function advance(scan: Scan, next: Next): Next | JsonFault {
  const closing = scan.open.length > 0 && scan.text[scan.at] === (isArray(scan) ? ']' : '}');
  if (closing && next !== 'value' && next !== 'key') return close(scan);
  if (next === 'separator') return separator(scan);
  return next === 'key' || next === 'key_or_end' ? key(scan) : value(scan);
}

function isArray(scan: Scan): boolean {
  return innermost(scan)?.keys === null;
}

function innermost(scan: Scan): Bracket | undefined {
  return scan.open[scan.open.length - 1];
}

function close(scan: Scan): Next {
  scan.open.pop();
  scan.at += 1;
  return 'separator';
}

function separator(scan: Scan): Next | JsonFault {
  if (scan.text[scan.at] !== ',') return fault(scan, `a comma or "${isArray(scan) ? ']' : '}'}" is missing`);
  scan.at += 1;
  const bracket = innermost(scan)!;
  if (typeof bracket.segment === 'number') bracket.segment += 1;
  return isArray(scan) ? 'value' : 'key';
}

function key(scan: Scan): Next | JsonFault {
  const start = scan.at;
  if (scan.text[start] !== '"') return fault(scan, 'a key in double quotes is missing');
  const broken = string(scan);
  if (broken !== null) return broken;
  const name = JSON.parse(scan.text.slice(start, scan.at)) as string;
  const bracket = innermost(scan)!;
  if (bracket.keys!.has(name)) {
    return {
      kind: 'duplicate_key',
      offset: start,
      message: `the key ${JSON.stringify(name)} is there twice`,
    };
  }
  bracket.keys!.add(name);
  bracket.segment = name;
  skipSpace(scan);
  if (scan.text[scan.at] !== ':') return fault(scan, 'a colon is missing after a key');
  scan.at += 1;
  return 'value';
}

function value(scan: Scan): Next | JsonFault {
  const character = scan.text[scan.at];
  if (character === '{' || character === '[') return openBracket(scan, character);
  if (character === '"') return string(scan) ?? 'separator';
  for (const pattern of [NUMBER, WORD]) {
    pattern.lastIndex = scan.at;
    const match = pattern.exec(scan.text);
    if (match === null) continue;
    scan.at += match[0].length;
    if (pattern === NUMBER) scan.onNumber?.(match[0], () => pointerOf(scan));
    return 'separator';
  }
  return fault(scan, 'a value is missing');
}

function openBracket(scan: Scan, character: '{' | '['): Next | JsonFault {
  if (scan.open.length >= scan.maxDepth) {
    return { kind: 'depth', offset: scan.at, message: `it is nested more than ${scan.maxDepth} levels deep` };
  }
  scan.open.push(character === '{' ? { keys: new Set(), segment: '' } : { keys: null, segment: 0 });
  scan.at += 1;
  return character === '{' ? 'key_or_end' : 'value_or_end';
}

/** Skips a string; returns null when it is well formed. */
function string(scan: Scan): JsonFault | null {
  const { text } = scan;
  for (scan.at += 1; scan.at < text.length; scan.at++) {
    const code = text.charCodeAt(scan.at);
    if (code === 0x22) {
      scan.at += 1;
      return null;
    }
    if (code < 0x20) return fault(scan, 'a control character in a string must be escaped');
    if (code === 0x5c && !escapeSequence(scan))
      return fault(scan, 'an escape in a string is not one of JSON');
  }
  return fault(scan, 'the closing quote of a string is missing');
}

function escapeSequence(scan: Scan): boolean {
  scan.at += 1;
  const character = scan.text[scan.at];
  if (character === undefined) return false;
  if (character !== 'u') return '"\\/bfnrt'.includes(character);
  if (!HEX4.test(scan.text.slice(scan.at + 1, scan.at + 5))) return false;
  scan.at += 4;
  return true;
}

function skipSpace(scan: Scan): void {
  for (; scan.at < scan.text.length; scan.at++) {
    const code = scan.text.charCodeAt(scan.at);
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
  }
}

function pointerOf({ open }: Scan): string {
  return open.map(({ segment }) => pointerSegment(segment)).join('');
}

function fault(scan: Scan, message: string): JsonFault {
  const ended = scan.at >= scan.text.length;
  return {
    kind: 'syntax',
    offset: scan.at,
    message: ended ? `${message}: the text ends too early` : message,
  };
}

/** Line and column of an offset, both from 1; the column counts UTF-16 units. */
export function placeOf(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset);
  const lineStart = before.lastIndexOf('\n') + 1;
  return { line: before.split('\n').length, column: offset - lineStart + 1 };
}
