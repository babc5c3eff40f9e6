/**
 * One quick pass over a JSON text before `JSON.parse`: finds nesting that would overflow a stack and numbers that
 * would silently change.
 *
 * Not here: syntax (left to `JSON.parse`), and the places of findings (json-scan.ts).
 *
 * Invariant 1: one pass, no recursion; only the open brackets are kept.
 */
import { isExactJsonNumber } from './exact-number.ts';

export interface JsonSurvey {
  /** Whether brackets are nested deeper than `maxDepth` levels; the survey stops there. */
  readonly isTooDeep: boolean;
  /** Number of members of all objects. A parsed value with fewer had a duplicate name. */
  readonly members: number;
  /** Places of inexact numbers: pairs of start and end. */
  readonly inexact: readonly number[];
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const MINUS = 0x2d;

/** Always returns; the result is meaningless for a text that is not JSON. */
export function surveyJson(text: string, maxDepth: number): JsonSurvey {
  const inexact: number[] = [];
  let depth = 0;
  let members = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = endOfString(text, at);
    else if (code === COLON) members += 1;
    else if (code === 0x5b || code === 0x7b) {
      depth += 1;
      if (depth > maxDepth) return { isTooDeep: true, members, inexact };
    } else if (code === 0x5d || code === 0x7d) depth -= 1;
    else if (code === MINUS || isDigit(code)) {
      const end = endOfNumber(text, at);
      if (!isExactJsonNumber(text.slice(at, end))) inexact.push(at, end);
      at = end - 1;
    }
  }
  return { isTooDeep: false, members, inexact };
}

/** Returns the text with every inexact number replaced by a string of its digits. The text must be JSON. */
export function quoteInexactNumbers(text: string, { inexact }: Pick<JsonSurvey, 'inexact'>): string {
  const parts: string[] = [];
  let done = 0;
  for (let index = 0; index < inexact.length; index += 2) {
    const [start, end] = [inexact[index]!, inexact[index + 1]!];
    parts.push(text.slice(done, start), '"', text.slice(start, end), '"');
    done = end;
  }
  parts.push(text.slice(done));
  return parts.join('');
}

function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === BACKSLASH) at += 1;
    else if (code === QUOTE) return at;
  }
  return text.length;
}

/** Returns the end of a number: digits, signs, the point and the exponent. */
function endOfNumber(text: string, start: number): number {
  let at = start + 1;
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (!isDigit(code) && code !== 0x2e && code !== 0x2b && code !== MINUS && (code | 0x20) !== 0x65) break;
  }
  return at;
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}
