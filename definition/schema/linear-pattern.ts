/**
 * `pattern` of a schema, matched in time linear in the text.
 *
 * Schemas come from the authors of workflows and texts from anybody, so the host's regular expressions, which can take
 * exponential time, are never used for them. Look-around and back-references are not supported for that reason.
 *
 * Compiled patterns of all schemas are kept up to a size, and compiled again when they were forgotten.
 */
import { RE2JS } from 're2js';
import { patternSize } from './pattern-size.ts';

export interface LinearPattern {
  /**
   * An upper bound of the instructions of the compiled pattern: matching costs one step per instruction for each
   * character.
   */
  readonly size: number;
  test(text: string): boolean;
  /** The pattern; equal patterns share one object. */
  toString(): string;
}

const LONGEST_PATTERN = 4_000;
/** Of all patterns that are kept: some tens of megabytes. */
const MAX_KEPT_SIZE = 100_000;

/** The error of a pattern. */
export class PatternError extends Error {
  readonly pattern: string;

  constructor(pattern: string, reason: string) {
    super(reason);
    this.name = 'PatternError';
    this.pattern = pattern;
  }
}

/** A JavaScript pattern, compiled when it is first matched. `test` throws PatternError when it is not valid. */
export function linearPattern(pattern: string): LinearPattern {
  return {
    size: patternSize(pattern),
    test: (text) => keptPattern(pattern).test(text),
    toString: () => pattern,
  };
}

/** Throws PatternError when a text is not a pattern that can be matched here. */
export function checkPattern(pattern: string): void {
  const reason = compile(pattern);
  if (typeof reason === 'string') throw new PatternError(pattern, reason);
}

/** Returns whether a text is a pattern that can be matched here. */
export function isPattern(text: string): boolean {
  return typeof compile(text) !== 'string';
}

/** Least recently used first. */
const kept = new Map<string, { readonly compiled: RE2JS; readonly size: number }>();
let keptSize = 0;

function keptPattern(pattern: string): RE2JS {
  const known = kept.get(pattern);
  const compiled = known?.compiled ?? compile(pattern);
  if (typeof compiled === 'string') throw new PatternError(pattern, compiled);
  const size = compiled.programSize();
  kept.delete(pattern);
  kept.set(pattern, { compiled, size });
  if (known === undefined) keptSize += size;
  for (const [oldest, { size }] of kept) {
    if (keptSize <= MAX_KEPT_SIZE || oldest === pattern) break;
    keptSize -= size;
    kept.delete(oldest);
  }
  return compiled;
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
