/**
 * Finds where a JSON text (RFC 8259) goes wrong, without building a value and without recursion.
 *
 * For messages with a line and a column, for duplicate keys and for depth: `JSON.parse` tells none of these on
 * every runtime. Not the parser: a text that scans is then given to `JSON.parse`.
 */
export interface JsonFault {
  kind: 'syntax' | 'depth' | 'duplicate_key';
  /** UTF-16 offset into the text. */
  offset: number;
  /** What is wrong there, without the place: `a comma or "]" is missing`. */
  message: string;
}

interface Scan {
  readonly text: string;
  readonly maxDepth: number;
  at: number;
  /** One entry for each open bracket: the keys met so far, or null for an array. */
  readonly open: (Set<string> | null)[];
}

/** What the scanner looks for next. */
type Next = 'value' | 'value_or_end' | 'key' | 'key_or_end' | 'separator';

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /true|false|null/y;
const HEX4 = /^[0-9a-fA-F]{4}$/;

/** Whether a text opens more brackets inside each other than `maxDepth`; strings are left out, syntax is not checked. */
export function isDeeperThan(text: string, maxDepth: number): boolean {
  if (text.length <= maxDepth) return false;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x22) at = endOfString(text, at);
    else if (code === 0x5b || code === 0x7b) depth += 1;
    else if (code === 0x5d || code === 0x7d) depth -= 1;
    if (depth > maxDepth) return true;
  }
  return false;
}

function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x5c) at += 1;
    else if (code === 0x22) return at;
  }
  return text.length;
}

/** The first fault of a text, or null when it is JSON of at most `maxDepth` levels without duplicate keys. */
export function scanJson(text: string, maxDepth: number): JsonFault | null {
  const scan: Scan = { text, maxDepth, at: 0, open: [] };
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
  return scan.open[scan.open.length - 1] === null;
}

function close(scan: Scan): Next {
  scan.open.pop();
  scan.at += 1;
  return 'separator';
}

function separator(scan: Scan): Next | JsonFault {
  if (scan.text[scan.at] !== ',') return fault(scan, `a comma or "${isArray(scan) ? ']' : '}'}" is missing`);
  scan.at += 1;
  return isArray(scan) ? 'value' : 'key';
}

function key(scan: Scan): Next | JsonFault {
  const start = scan.at;
  if (scan.text[start] !== '"') return fault(scan, 'a key in double quotes is missing');
  const broken = string(scan);
  if (broken !== null) return broken;
  const name = JSON.parse(scan.text.slice(start, scan.at)) as string;
  const keys = scan.open[scan.open.length - 1]!;
  if (keys.has(name)) {
    return {
      kind: 'duplicate_key',
      offset: start,
      message: `the key ${JSON.stringify(name)} is there twice`,
    };
  }
  keys.add(name);
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
    return 'separator';
  }
  return fault(scan, 'a value is missing');
}

function openBracket(scan: Scan, character: '{' | '['): Next | JsonFault {
  if (scan.open.length >= scan.maxDepth) {
    return { kind: 'depth', offset: scan.at, message: `it is nested more than ${scan.maxDepth} levels deep` };
  }
  scan.open.push(character === '{' ? new Set() : null);
  scan.at += 1;
  return character === '{' ? 'key_or_end' : 'value_or_end';
}

/** Goes past a string; null when it is well formed. */
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
