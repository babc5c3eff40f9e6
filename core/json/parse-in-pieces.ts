/**
 * Parses a large JSON text a piece at a time: the work can be paused between two pieces.
 *
 * Neighbouring members of an array or object are parsed together, by `JSON.parse`, as soon as they have the size of a
 * piece. A string that is longer than a piece is parsed in parts and joined.
 *
 * Invariant 1: the result is that of `JSON.parse`, for every text; so is a refusal, apart from its message.
 * Invariant 2: the text is read once and without recursion; between two yields about two pieces are read and parsed.
 */
import type { Json } from './json.ts';

const PIECE = 64 * 1_024;
/** A text that is nested deeper is refused: each open container takes memory. */
const MAX_OPEN = 10_000;
/** Escaped quotes of a string that are passed over between two yields. */
const MAX_ESCAPED = 4_096;
const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const U = 0x75;

/** An array or object whose end was not met yet. */
interface Open {
  readonly isObject: boolean;
  readonly start: number;
  /** Start of the member that is being read. */
  memberStart: number;
  /** Start of the members that were read and not parsed; null: there are none. */
  unparsed: number | null;
  /** End of the last member, when that was parsed on its own. */
  endedAt: number;
  /** Key of the member that is being read, when it is longer than a piece. */
  key: string | null;
  /** The members that were parsed; null: none so far, and a short container is parsed with its parent. */
  value: Json[] | Record<string, Json> | null;
}

/** The texts that large arrays and objects were parsed from, which share the memory of the whole. */
const texts = new WeakMap<object, string>();
/** The texts that such values were written as. */
const writtenTexts = new WeakMap<object, string>();

/**
 * Returns the JSON that an array or object was parsed from or written as; undefined: it is short, or unknown. Such
 * values are never changed, so it is their JSON as long as they live.
 */
export function parsedText(value: object): string | undefined {
  return writtenTexts.get(value) ?? texts.get(value);
}

/** Records the text that an array or object was written as, which has no white space. It will never be changed. */
export function rememberText(value: object, json: string): void {
  writtenTexts.set(value, json);
}

/** Returns the JSON of a value without white space, which is not written anew where it is known. */
export function jsonText(value: Json): string {
  return (isContainer(value) ? writtenTexts.get(value) : undefined) ?? JSON.stringify(value);
}

/** Returns the characters of a value as JSON, about; 0: the value is short. */
export function lengthOfLarge(value: Json): number {
  if (typeof value === 'string') return value.length;
  return isContainer(value) ? (parsedText(value)?.length ?? 0) : 0;
}

function isContainer(value: Json): value is Json & object {
  return typeof value === 'object' && value !== null;
}

/** Told of the pieces that are parsed together, in the order of the text; numbers are in them alone. */
export type OnPiece = (piece: string, start: number) => void;

/** @throws SyntaxError */
export function* parseJsonInPieces(text: string, onPiece?: OnPiece): Generator<void, Json> {
  const open: Open[] = [];
  let pausedAt = 0;
  for (let at = 0; at < text.length; ) {
    if (at - pausedAt >= PIECE) {
      pausedAt = at;
      yield;
    }
    const code = text.charCodeAt(at);
    const top = open[open.length - 1];
    if (code === QUOTE) {
      const end = quickEnd(text, at) ?? (yield* endOfString(text, at));
      if (end - at > PIECE && top !== undefined) yield* parseLongString(text, at, end, open, onPiece);
      else if (end - at > PIECE) {
        requireSpace(text, 0, at);
        requireSpace(text, end, text.length);
        return yield* longString(text, at, end);
      }
      at = end;
      continue;
    }
    if (code === 0x5b || code === 0x7b) {
      if (open.length >= MAX_OPEN) throw new SyntaxError(`It is nested more than ${MAX_OPEN} levels deep`);
      open.push(opened(code === 0x7b, at));
    } else if (code === COMMA && top !== undefined) yield* endMember(text, at, open, top, onPiece);
    else if ((code === 0x5d || code === 0x7d) && top !== undefined) {
      if ((code === 0x7d) !== top.isObject) throw new SyntaxError('A bracket is closed by another one');
      const value = yield* close(text, at, open, top, onPiece);
      if (open.length === 0) {
        if (value === null) break;
        requireSpace(text, 0, top.start);
        requireSpace(text, at + 1, text.length);
        return value;
      }
      if (value !== null) add(open[open.length - 1]!, value, text, top.start, at + 1);
    }
    at += 1;
  }
  if (open.length > 0) throw new SyntaxError('The text ends before its last bracket');
  onPiece?.(text, 0);
  return parsed(text);
}

/** @throws SyntaxError when there is more than white space */
function requireSpace(text: string, from: number, to: number): void {
  if (!isSpace(text.slice(from, to))) throw new SyntaxError('There is text between two values');
}

function isSpace(text: string): boolean {
  return /^[ \t\n\r]*$/.test(text);
}

function parsed(text: string): Json {
  return JSON.parse(text) as Json;
}

function opened(isObject: boolean, start: number): Open {
  return { isObject, start, memberStart: start + 1, unparsed: start + 1, endedAt: 0, key: null, value: null };
}

function* endMember(
  text: string,
  at: number,
  open: readonly Open[],
  top: Open,
  onPiece: OnPiece | undefined,
): Generator<void> {
  if (top.unparsed === null) requireSpace(text, top.endedAt, at);
  else if (top.key !== null || at - top.unparsed >= PIECE) yield* parseUnparsed(text, at, open, onPiece);
  top.unparsed ??= at + 1;
  top.memberStart = at + 1;
}

/** Returns the value of the innermost container at its end; null: it is parsed with its parent. */
function* close(
  text: string,
  at: number,
  open: Open[],
  top: Open,
  onPiece: OnPiece | undefined,
): Generator<void, Json | null> {
  if (top.value !== null && top.unparsed === null) requireSpace(text, top.endedAt, at);
  if (top.value !== null || top.key !== null || at - top.start >= PIECE)
    yield* parseUnparsed(text, at, open, onPiece);
  open.pop();
  if (top.value !== null) texts.set(top.value, text.slice(top.start, at + 1));
  return top.value;
}

/** Parses what was read of all open containers, the outermost first. */
function* parseUnparsed(
  text: string,
  at: number,
  open: readonly Open[],
  onPiece: OnPiece | undefined,
): Generator<void> {
  for (const [level, container] of open.entries()) {
    const isTop = level === open.length - 1;
    container.value ??= container.isObject ? {} : [];
    // After a long key nothing is left but its value.
    if (!isTop && container.key !== null) continue;
    // The member that is being read is a container itself, or a long string.
    parseMembers(text, isTop ? at : container.memberStart - 1, container, onPiece);
    if (container.unparsed === null) continue;
    container.unparsed = null;
    container.endedAt = at;
    yield;
  }
}

function parseMembers(text: string, end: number, container: Open, onPiece: OnPiece | undefined): void {
  const { start, unparsed, key, isObject, value } = container;
  // Nothing was read before the first member.
  if (unparsed === null || end < unparsed) return;
  const piece = text.slice(unparsed, end);
  const isEmpty = key === null && isSpace(piece);
  // Only an empty container has nothing between its brackets; a comma has a member on both sides.
  if (isEmpty && unparsed === start + 1 && text.charCodeAt(end) !== COMMA) return;
  if (isEmpty) throw new SyntaxError('A value is missing');
  onPiece?.(piece, unparsed);
  if (key !== null) {
    container.key = null;
    define(value as Record<string, Json>, key, parsed(piece));
  } else if (isObject) {
    for (const [name, member] of Object.entries(parsed(`{${piece}}`) as Record<string, Json>))
      define(value as Record<string, Json>, name, member);
  } else {
    for (const item of parsed(`[${piece}]`) as Json[]) (value as Json[]).push(item);
  }
}

/** Adds a value that was parsed on its own. @param start of its text @param end of its text */
function add(parent: Open, value: Json, text: string, start: number, end: number): void {
  if (parent.key !== null) requireSpace(text, parent.unparsed ?? start, start);
  else if (!parent.isObject) requireSpace(text, parent.memberStart, start);
  if (!parent.isObject) (parent.value as Json[]).push(value);
  else {
    const key =
      parent.key ?? Object.keys(parsed(`{${text.slice(parent.memberStart, start)}0}`) as object)[0]!;
    define(parent.value as Record<string, Json>, key, value);
  }
  parent.key = null;
  parent.unparsed = null;
  parent.endedAt = end;
}

function define(target: Record<string, Json>, key: string, value: Json): void {
  if (key !== '__proto__') target[key] = value;
  else Object.defineProperty(target, key, { value, configurable: true, enumerable: true, writable: true });
}

function* parseLongString(
  text: string,
  start: number,
  end: number,
  open: readonly Open[],
  onPiece: OnPiece | undefined,
): Generator<void> {
  const top = open[open.length - 1]!;
  const colon = top.isObject && top.key === null ? colonAfter(text, end) : null;
  const isKey = colon !== null && isSpace(text.slice(top.memberStart, start));
  // The members before this one; a long key stays until its value.
  const { key } = top;
  top.key = null;
  if (key === null) yield* parseUnparsed(text, top.memberStart - 1, open, onPiece);
  const value = yield* longString(text, start, end);
  top.key = key;
  if (!isKey) return add(top, value, text, start, end);
  top.key = value;
  top.unparsed = colon + 1;
}

/** Returns the place of a colon after a string; null: the string is no key. */
function colonAfter(text: string, end: number): number | null {
  let at = end;
  while (' \t\n\r'.includes(text[at] ?? ':')) at += 1;
  return text.charCodeAt(at) === COLON ? at : null;
}

function* longString(text: string, start: number, end: number): Generator<void, string> {
  const parts: string[] = [];
  for (let from = start + 1; from < end - 1; ) {
    const to = from + PIECE >= end - 1 ? end - 1 : cutBefore(text, from, from + PIECE);
    parts.push(parsed(`"${text.slice(from, to)}"`) as string);
    from = to;
    yield;
  }
  return parts.join('');
}

/** Returns a place at or shortly after `at` that is not inside an escape sequence. */
function cutBefore(text: string, from: number, at: number): number {
  const last = text.lastIndexOf('\\', at - 1);
  if (last < from || last < at - 5 || backslashesBefore(text, last + 1, from) % 2 === 0) return at;
  return last + (text.charCodeAt(last + 1) === U ? 6 : 2);
}

function backslashesBefore(text: string, at: number, from: number): number {
  let start = at;
  while (start > from && text.charCodeAt(start - 1) === BACKSLASH) start -= 1;
  return at - start;
}

/** Returns the end of a string without escaped quotes; null: it may have some. */
function quickEnd(text: string, start: number): number | null {
  const quote = text.indexOf('"', start + 1);
  if (quote < 0) throw new SyntaxError('The text ends in a string');
  return text.charCodeAt(quote - 1) === BACKSLASH ? null : quote + 1;
}

function* endOfString(text: string, start: number): Generator<void, number> {
  let passed = 0;
  let from = start + 1;
  for (;;) {
    const quote = text.indexOf('"', from);
    if (quote < 0) throw new SyntaxError('The text ends in a string');
    if (backslashesBefore(text, quote, from) % 2 === 0) return quote + 1;
    from = quote + 1;
    passed += 1;
    if (passed % MAX_ESCAPED === 0) yield;
  }
}
