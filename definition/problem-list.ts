/**
 * The list of the problems that the checks of a definition find.
 *
 * Every problem is kept up to a cap that no person reads past, and those above it are only counted: their sentences are
 * not made. A suggestion compares all names, so the number of compared names is bounded as well.
 */

import type { Problem } from '../core/problem.ts';
import type { ProblemCode } from '../core/problem-code.ts';
import { cutText } from '../core/text/cut.ts';
import { didYouMean } from '../core/text/nearest.ts';

const MAX_PROBLEMS = 1_000;
const MAX_SUGGESTIONS = 40;
/** The maximum of names that all suggestions compare. */
const MAX_CANDIDATES = 20_000;
const MAX_SHOWN_LENGTH = 68;

export class ProblemList {
  readonly #problems: Problem[] = [];
  readonly #most: number;
  #left = 0;
  #suggestions = 0;
  #candidates = 0;

  constructor(most = MAX_PROBLEMS) {
    this.#most = most;
  }

  /** @param message a sentence, or a function that makes it when it is needed */
  add(pointer: string, code: ProblemCode, message: string | (() => string)): void {
    if (this.#problems.length >= this.#most) this.#left += 1;
    else this.#problems.push({ pointer, code, message: typeof message === 'string' ? message : message() });
  }

  /** ` Did you mean "x"?` for an unknown name, or '' when nothing is near or enough suggestions were made. */
  suggest(name: string, candidates: Iterable<string>): string {
    this.#suggestions += 1;
    if (this.#suggestions > MAX_SUGGESTIONS || this.#candidates >= MAX_CANDIDATES) return '';
    return didYouMean(name, this.#counted(candidates));
  }

  *#counted(candidates: Iterable<string>): Generator<string> {
    for (const candidate of candidates) {
      this.#candidates += 1;
      if (this.#candidates > MAX_CANDIDATES) return;
      yield candidate;
    }
  }

  /** The problems in the order of the checks; the last one counts those above the cap. */
  list(): Problem[] {
    if (this.#left === 0) return [...this.#problems];
    const message = `${this.#left} more problems were found; mend the ones above first.`;
    return [...this.#problems, { pointer: '', code: 'too_many_problems', message }];
  }
}

/** A value in a few words, for "found ...": `"abc"`, `12`, `null`, `a list`, `an object`. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return quote(value);
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object' && value !== null) return 'an object';
  return String(value);
}

/** A text in double quotes, cut where it is long. */
export function quote(text: string): string {
  return JSON.stringify(cutText(text, MAX_SHOWN_LENGTH));
}

/** Names for a sentence: `a, b and 3 more`. */
export function listNames(names: readonly string[], most = 12): string {
  const shown = names.slice(0, most).join(', ');
  return names.length > most ? `${shown} and ${names.length - most} more` : shown;
}
