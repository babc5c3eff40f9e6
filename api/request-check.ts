/**
 * Checks parts of a request against their schemas and turns every finding into a problem that a person can mend.
 *
 * Not here: workflow definitions and inputs (core and services check those) and body syntax (body.ts).
 *
 * Invariant 1: all findings of a part are reported at once, in the order of the schema.
 */
import { z } from '@hono/zod-openapi';
import { findUnstorable } from '../core/json/storable.ts';
import { EngineError, type Problem, pointerSegment } from '../core/problem.ts';
import { REQUEST_PROBLEMS, type RequestProblem } from '../core/problem-code.ts';
import { didYouMean } from '../core/text/nearest.ts';

/** The maximum of findings in an answer; a body of thousands of wrong items must not make a huge one. */
const MAX_PROBLEMS = 100;

/** Stable codes for the findings of the schema library. */
const CODES: Readonly<Record<string, RequestProblem>> = {
  invalid_type: 'wrong_type',
  too_small: 'too_small',
  too_big: 'too_big',
  invalid_format: 'wrong_format',
  invalid_value: 'not_allowed',
  not_multiple_of: 'wrong_type',
  invalid_union: 'wrong_type',
};

/** The value as its schema gives it. Throws EngineError validation_failed with one problem per finding. */
export function check<S extends z.ZodType>(
  schema: S,
  value: unknown,
  part: 'body' | 'query' | 'path' | 'header',
): z.output<S> {
  const result = schema.safeParse(value, { reportInput: true });
  if (result.success) return result.data;
  const problems = firstProblems(result.error.issues, schema);
  throw new EngineError('validation_failed', summaryOf(problems, part), problems);
}

/** The query of a URL as an object of strings. Throws EngineError for a repeated or unstorable value. */
export function readQuery(url: string): Record<string, string> {
  const values: Record<string, string> = Object.create(null);
  for (const [name, value] of new URL(url).searchParams) {
    if (values[name] !== undefined) {
      const problem: Problem = {
        pointer: pointerSegment(name),
        code: 'repeated',
        message: `${name} is given more than once.`,
      };
      throw new EngineError('validation_failed', problem.message, [problem]);
    }
    values[name] = value;
  }
  return requireStorable(values);
}

/** Refuses text that no database column can hold. */
export function requireStorable(values: Record<string, string>): Record<string, string> {
  const fault = findUnstorable(values, { maxDepth: 2 });
  if (fault === null) return values;
  const message = `The value ${fault.reason}.`;
  throw new EngineError('not_storable', message, [{ pointer: fault.pointer, code: 'not_storable', message }]);
}

function summaryOf(problems: readonly Problem[], part: string): string {
  const first = problems[0]?.message ?? 'The request is not valid.';
  return problems.length < 2 ? first : `The ${part} has ${problems.length} problems; the first: ${first}`;
}

/** As many as are answered; one issue may have many. */
function firstProblems(issues: readonly z.core.$ZodIssue[], schema: z.ZodType): Problem[] {
  const problems: Problem[] = [];
  for (const issue of issues) {
    if (problems.length >= MAX_PROBLEMS) break;
    problems.push(...toProblems(issue, schema, MAX_PROBLEMS - problems.length));
  }
  return problems;
}

function toProblems(issue: z.core.$ZodIssue, schema: z.ZodType, most: number): Problem[] {
  const pointer = issue.path.map((segment) => pointerSegment(String(segment))).join('');
  if (issue.code === 'unrecognized_keys') {
    const known = fieldsAt(schema, issue.path);
    return issue.keys.slice(0, most).map((key) => unknownField(pointer, key, known));
  }
  const name = nameOf(issue.path);
  if (issue.code === 'invalid_type' && issue.input === undefined) {
    return [{ pointer, code: 'required', message: `${name} is missing.` }];
  }
  if (issue.code === 'custom') return [{ pointer, code: codeOf(issue.params?.code), message: issue.message }];
  return [
    { pointer, code: CODES[issue.code] ?? 'invalid', message: `${name}: ${sentenceOf(issue.message)}.` },
  ];
}

/** A rule of a field's own names its code, or has the one for all others. */
function codeOf(given: unknown): RequestProblem {
  return REQUEST_PROBLEMS.find((code) => code === given) ?? 'invalid';
}

/** `tags[1]`, the way people write a path. */
function nameOf(path: readonly PropertyKey[]): string {
  const name = path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('');
  return name === '' ? 'The value' : name.replace(/^\./, '');
}

/** The message without the library's heading (`Too small: `), which the code says already. */
function sentenceOf(message: string): string {
  return message.replace(/^(?:Invalid|Too) [\w ]+: /, '');
}

function unknownField(parent: string, key: string, known: readonly string[]): Problem {
  const hint = didYouMean(key, known) || ` Known here: ${known.join(', ')}.`;
  const shown = JSON.stringify(key.slice(0, 128));
  return {
    pointer: parent + pointerSegment(key),
    code: 'unknown_field',
    message: `${shown} is not known here.${hint}`,
  };
}

/** The names an object takes at a path below a schema. */
function fieldsAt(schema: unknown, path: readonly PropertyKey[]): string[] {
  let current = schema;
  for (const segment of path) {
    current = unwrap(current);
    if (current instanceof z.ZodArray) current = current.element;
    else if (current instanceof z.ZodObject) current = current.shape[String(segment)];
  }
  current = unwrap(current);
  return current instanceof z.ZodObject ? Object.keys(current.shape) : [];
}

function unwrap(schema: unknown): unknown {
  return schema instanceof z.ZodOptional ? unwrap(schema.unwrap()) : schema;
}
