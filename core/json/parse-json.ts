/**
 * Parses JSON text from outside into a value that can be stored: request bodies, JSON definitions, files.
 *
 * Invariant 1: the depth is checked before `JSON.parse` is called, so no text overflows a stack, here or later.
 * Invariant 2: a returned value passes `findUnstorable` with the same depth.
 * Invariant 3: parsing keeps everything: every member is present, every number has its value.
 */

import { EngineError, type Problem } from '../problem.ts';
import { inexactNumberMessage, isExactJsonNumber } from './exact-number.ts';
import { type JsonFault, placeOf, scanJson } from './json-scan.ts';
import { surveyJson } from './json-survey.ts';
import { findUnstorable, type StorableLimits, type Tally } from './storable.ts';

const MAX_PROBLEMS = 100;
/** Limit for the total length of all pointers: a long name may hold many numbers. */
const MAX_POINTERS_LENGTH = 65_536;

/**
 * Throws EngineError `malformed_json` (the message has line and column) when the text is not JSON or an object has a
 * duplicate name, `number_not_exact` (a problem for each number), and `not_storable` (one problem, `too_deep` or
 * `not_storable`, with its pointer) when the value cannot be stored.
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

/** Throws EngineError `not_storable` when a value cannot be stored. */
export function assertStorable(value: unknown, limits: StorableLimits, tally?: Tally): void {
  const found = findUnstorable(value, limits, tally);
  if (found === null) return;
  const code = found.kind === 'depth' ? 'too_deep' : 'not_storable';
  throw unstorable({ pointer: found.pointer, code, message: `The value ${found.reason}.` });
}

/** Collects inexact numbers, up to the number that is shown. */
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

/** Throws EngineError `number_not_exact` when any were found. */
export function assertExactNumbers({ problems }: InexactNumbers): void {
  const [first] = problems;
  if (first === undefined) return;
  const where = first.pointer === '' ? '' : `At ${first.pointer}: `;
  throw new EngineError('number_not_exact', where + first.message, problems);
}

/** Returns the inexact numbers of a text that is JSON. The search stops at a duplicate name. */
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
