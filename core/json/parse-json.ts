/**
 * JSON text from outside to a value that can be stored: request bodies, JSON definitions, files.
 *
 * Invariant 1: the depth is known before `JSON.parse` is called, so no text overflows a stack, here or later.
 * Invariant 2: what is returned passes `findUnstorable` with the same depth.
 * Invariant 3: nothing is lost or changed on the way: every member is there, every number has its value.
 */

import { EngineError, type Problem } from '../problem.ts';
import { inexactNumberMessage, isExactJsonNumber } from './exact-number.ts';
import { type JsonFault, placeOf, scanJson } from './json-scan.ts';
import { surveyJson } from './json-survey.ts';
import { findUnstorable, type StorableLimits, type Tally } from './storable.ts';

/** More than anyone reads. */
const MAX_PROBLEMS = 100;
/** Characters of all pointers together: a long name may hold many numbers. */
const MAX_POINTERS_LENGTH = 65_536;

/**
 * Throws EngineError `malformed_json` (the message has line and column) when the text is no JSON or has a name twice
 * in one object, `number_not_exact` (a problem for each number), and `not_storable` (one problem, `too_deep` or
 * `not_storable`, with its pointer) when the value cannot be kept.
 */
export function parseJson(text: string, limits: StorableLimits): unknown {
  const survey = surveyJson(text, limits.maxDepth);
  if (survey.isTooDeep) throw unstorable(tooDeep(limits.maxDepth));
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw malformed(text, scanJson(text, limits.maxDepth), cause);
  }
  if (survey.inexact.length > 0) assertExactNumbers(findInexactNumbers(text, limits.maxDepth));
  const tally: Tally = { members: 0 };
  assertStorable(value, limits, tally);
  if (tally.members < survey.members) throw malformed(text, scanJson(text, limits.maxDepth));
  return value;
}

/** Throws EngineError `not_storable` when a value cannot be kept. */
export function assertStorable(value: unknown, limits: StorableLimits, tally?: Tally): void {
  const found = findUnstorable(value, limits, tally);
  if (found === null) return;
  const code = found.kind === 'depth' ? 'too_deep' : 'not_storable';
  throw unstorable({ pointer: found.pointer, code, message: `The value ${found.reason}.` });
}

/** Collects numbers that are not exact, up to as many as are shown. */
export class InexactNumbers {
  readonly problems: Problem[] = [];
  #pointersLength = 0;

  add(literal: string, pointer: () => string): void {
    if (this.problems.length >= MAX_PROBLEMS || this.#pointersLength > MAX_POINTERS_LENGTH) return;
    const place = pointer();
    this.#pointersLength += place.length;
    this.problems.push({ pointer: place, code: 'number_not_exact', message: inexactNumberMessage(literal) });
  }
}

/** Throws EngineError `number_not_exact` when there are any. */
export function assertExactNumbers({ problems }: InexactNumbers): void {
  const [first] = problems;
  if (first === undefined) return;
  const where = first.pointer === '' ? '' : `At ${first.pointer}: `;
  throw new EngineError('number_not_exact', where + first.message, problems);
}

/** Those of a text that is JSON; after a name that is there twice none is found any more. */
export function findInexactNumbers(text: string, maxDepth: number): InexactNumbers {
  const found = new InexactNumbers();
  scanJson(text, maxDepth, (literal, pointer) => {
    if (!isExactJsonNumber(literal)) found.add(literal, pointer);
  });
  return found;
}

function tooDeep(maxDepth: number): Problem {
  return {
    pointer: '',
    code: 'too_deep',
    message: `The value is nested more than ${maxDepth} levels deep; make it flatter.`,
  };
}

function unstorable(problem: Problem): EngineError {
  const where = problem.pointer === '' ? '' : ` (at ${problem.pointer})`;
  return new EngineError('not_storable', `This cannot be stored${where}: ${problem.message}`, [problem]);
}

function malformed(text: string, fault: JsonFault | null, cause?: unknown): EngineError {
  if (fault === null)
    return new EngineError('malformed_json', `This is not JSON: ${String(cause)}.`, [], cause);
  const { line, column } = placeOf(text, fault.offset);
  const message = `This is not valid JSON: at line ${line}, column ${column}, ${fault.message}.`;
  return new EngineError('malformed_json', message, [], cause);
}
