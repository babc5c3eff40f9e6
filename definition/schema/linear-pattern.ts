/**
 * `pattern` of a schema, matched in time linear in the text.
 *
 * Schemas come from the authors of workflows and texts from anyone, so the host's regular expressions, which can
 * take exponential time, are never used for them. The price: no look-around and no back-references.
 */
import { RE2JS } from 're2js';

export interface LinearPattern {
  test(text: string): boolean;
  /** The pattern; equal patterns are the same one to whoever asks. */
  toString(): string;
}

const LONGEST_PATTERN = 4_000;

/** What is wrong with a pattern. */
export class PatternError extends Error {
  readonly pattern: string;

  constructor(pattern: string, reason: string) {
    super(reason);
    this.name = 'PatternError';
    this.pattern = pattern;
  }
}

/** Compiles a JavaScript pattern. Throws PatternError. */
export function linearPattern(pattern: string): LinearPattern {
  const compiled = compile(pattern);
  if (typeof compiled === 'string') throw new PatternError(pattern, compiled);
  return { test: (text) => compiled.test(text), toString: () => pattern };
}

/** Whether a text is a pattern that can be matched here. */
export function isPattern(text: string): boolean {
  return typeof compile(text) !== 'string';
}

function compile(pattern: string): RE2JS | string {
  if (pattern.length > LONGEST_PATTERN) return `it is longer than ${LONGEST_PATTERN} characters`;
  try {
    return RE2JS.compile(RE2JS.translateRegExp(pattern));
  } catch (error) {
    return reasonOf(error);
  }
}

function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message.replace(/^error parsing regexp: /, '') : String(error);
  if (/`\(\?<?[=!]|`\\[1-9]/.test(text)) {
    return `${text}; look-around and back-references are not supported, because patterns are matched in linear time`;
  }
  return text.includes('invalid repeat count')
    ? `${text}; a repeat goes up to 1000, use maxLength for more`
    : text;
}
