/**
 * JSON text from outside to a value that can be stored: request bodies, JSON definitions, files.
 *
 * Invariant 1: the depth is known before `JSON.parse` is called, so no text overflows a stack, here or later.
 * Invariant 2: what is returned passes `findUnstorable` with the same depth.
 */

import { EngineError, type Problem } from '../problem.ts';
import { isDeeperThan, type JsonFault, placeOf, scanJson } from './json-scan.ts';
import { findUnstorable, type StorableLimits } from './storable.ts';

/**
 * Throws EngineError `malformed_json` (the message has line and column) when the text is no JSON, and
 * `not_storable` (one problem, `too_deep` or `not_storable`, with its pointer) when it cannot be kept.
 * Of a key that is there twice the last one counts, as in `JSON.parse`; see `parseUniqueJson`.
 */
export function parseJson(text: string, limits: StorableLimits): unknown {
  if (isDeeperThan(text, limits.maxDepth)) throw unstorable(tooDeep(limits.maxDepth));
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw malformed(text, scanJson(text, limits.maxDepth), cause);
  }
  assertStorable(value, limits);
  return value;
}

/** As `parseJson`, and a key that is there twice in one object is `malformed_json` too. */
export function parseUniqueJson(text: string, limits: StorableLimits): unknown {
  const value = parseJson(text, limits);
  const fault = scanJson(text, limits.maxDepth);
  if (fault !== null) throw malformed(text, fault);
  return value;
}

/** Throws EngineError `not_storable` when a value cannot be kept. */
export function assertStorable(value: unknown, limits: StorableLimits): void {
  const found = findUnstorable(value, limits);
  if (found === null) return;
  const code = found.kind === 'depth' ? 'too_deep' : 'not_storable';
  throw unstorable({ pointer: found.pointer, code, message: `The value ${found.reason}.` });
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
