/**
 * Finds the `${{ }}` of a string and parses the expressions between them.
 *
 * The JavaScript parser decides where an expression ends, so braces, strings, templates and regular expressions inside
 * it may hold `}}`. Not here: the references that an expression may have (analysis.ts).
 *
 * Invariant 1: the work is linear in the length of the string; the first error of a string ends its check.
 * Invariant 2: the depth of a parsed expression is bounded, so that walking it cannot use up the stack.
 */
import { type Expression, parseExpressionAt } from 'acorn';
import { isTooDeep } from './depth.ts';

export interface ParsedExpression {
  /** The text between the braces, as written. */
  source: string;
  /** Positions in it count from the start of `source`. */
  ast: Expression;
  /** Where `source` starts in the string. */
  offset: number;
}

export interface ParsedText {
  /** Literal texts and expressions in order; a string without expressions is one literal. */
  segments: readonly (string | ParsedExpression)[];
  /** The string is exactly one expression, so the value keeps its type. */
  single: boolean;
  /** The first syntax error; segments are empty then. */
  error: { message: string; offset: number } | null;
}

const TOO_DEEP = 'the expression is nested too deeply; split it over several steps';
const OPEN = '${{';
const CLOSE = '}}';
const OUTSIDE = /(?:\s|\/\*[\s\S]*?\*\/|\/\/[^\n\r\u2028\u2029]*)*/y;

/** Returns whether the string needs parsing at all. */
export function holdsExpression(text: string): boolean {
  return text.includes(OPEN);
}

/** Splits a string into literal text and parsed expressions. Never throws. */
export function parseText(text: string): ParsedText {
  const segments: (string | ParsedExpression)[] = [];
  let position = 0;
  for (let open = text.indexOf(OPEN); open !== -1; open = text.indexOf(OPEN, position)) {
    if (open > position) segments.push(text.slice(position, open));
    const start = open + OPEN.length;
    const found = parseOne(text.slice(start));
    if ('message' in found) return failed(found.message, start + found.offset);
    segments.push({ source: found.source, ast: found.ast, offset: start });
    position = start + found.source.length + CLOSE.length;
  }
  if (position < text.length) segments.push(text.slice(position));
  const meaningful = segments.filter((segment) => typeof segment !== 'string' || segment.trim() !== '');
  const single = meaningful.length === 1 && typeof meaningful[0] !== 'string';
  return { segments: single ? meaningful : segments, single, error: null };
}

function failed(message: string, offset: number): ParsedText {
  return { segments: [], single: false, error: { message, offset } };
}

type Found = { source: string; ast: Expression } | { message: string; offset: number };

function parseOne(rest: string): Found {
  const start = skipOutside(rest, 0);
  if (rest.startsWith(CLOSE, start)) {
    return { message: 'the expression is empty; write one between ${{ and }}', offset: start };
  }
  let ast: Expression;
  try {
    ast = parseExpressionAt(rest, 0, { ecmaVersion: 2024, sourceType: 'module', preserveParens: true });
  } catch (error) {
    return explain(error, rest);
  }
  if (isTooDeep(ast)) return { message: TOO_DEEP, offset: start };
  const end = skipOutside(rest, ast.end);
  if (rest.startsWith(CLOSE, end)) return { source: rest.slice(0, end), ast };
  return { message: unclosed(rest, end), offset: end };
}

function skipOutside(text: string, from: number): number {
  OUTSIDE.lastIndex = from;
  return OUTSIDE.exec(text) === null ? from : OUTSIDE.lastIndex;
}

function unclosed(rest: string, end: number): string {
  if (end >= rest.length) return 'the expression has no closing }}';
  const found = JSON.stringify(rest.slice(end, end + 12));
  return `expected }} after the expression, found ${found}; only one JavaScript expression may stand there, no statements`;
}

const STATEMENTS =
  /^\s*(?:if|for|while|do|switch|return|throw|try|let|const|var|class|function\*?|import|export|debugger)\b/;

function explain(error: unknown, rest: string): { message: string; offset: number } {
  if (!(error instanceof SyntaxError) || error.message.includes('stack space')) {
    return { message: TOO_DEEP, offset: 0 };
  }
  const position = (error as { pos?: number }).pos ?? 0;
  if (position >= rest.length || !rest.includes(CLOSE)) {
    return { message: 'the expression has no closing }}', offset: Math.min(position, rest.length) };
  }
  if (STATEMENTS.test(rest)) {
    return {
      message: 'statements are not allowed, only one JavaScript expression; a script step takes statements',
      offset: position,
    };
  }
  const reason = error.message.replace(/ \(\d+:\d+\)$/, '');
  return { message: `not a JavaScript expression: ${reason}`, offset: position };
}

/** The place of an offset in a string, as a person counts: `line 2, character 7`, or `character 7`. */
export function describePosition(text: string, offset: number): string {
  const before = text.slice(0, offset);
  const line = before.split('\n').length;
  const character = offset - (before.lastIndexOf('\n') + 1) + 1;
  return text.includes('\n') ? `line ${line}, character ${character}` : `character ${character}`;
}
