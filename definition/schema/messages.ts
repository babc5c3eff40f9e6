/**
 * Turns the errors of Ajv into problems that a person can mend: the exact place, the expected and the found value.
 *
 * The errors of the branches of an `anyOf` or `oneOf` become one: the branch that fits best speaks for all, or the
 * alternatives are listed.
 */
import type { ErrorObject } from 'ajv';
import { type Problem, pointerSegment } from '../../core/problem.ts';
import type { ProblemCode } from '../../core/problem-code.ts';
import { cutText } from '../../core/text/cut.ts';
import { didYouMean } from '../../core/text/nearest.ts';

/** Problems that are reported for one value. */
const MAX_PROBLEMS = 50;
/** Errors of Ajv that are read; the branches of a choice have several. */
const MAX_ERRORS = 500;
const MAX_SHOWN_LENGTH = 68;
const MAX_EXAMPLES = 5;

export function toProblems(errors: readonly ErrorObject[]): Problem[] {
  const problems = collapse(errors.slice(0, MAX_ERRORS)).map(toProblem);
  if (problems.length <= MAX_PROBLEMS) return problems;
  const message = 'More problems were found; mend the ones above first.';
  return [...problems.slice(0, MAX_PROBLEMS), { pointer: '', code: 'too_many_problems', message }];
}

/** An error of an `anyOf` or `oneOf` with those of its branches. */
interface Collapsed {
  readonly error: ErrorObject;
  readonly branches: readonly Collapsed[];
}

/** Ajv reports the errors of the branches just before the one of the keyword that holds them. */
function collapse(errors: readonly ErrorObject[]): Collapsed[] {
  const stack: Collapsed[] = [];
  for (const error of errors) {
    const start = isChoice(error) ? firstBranch(stack, error) : stack.length;
    const branches = stack.splice(start);
    const speaker = bestBranch(error, branches);
    if (speaker !== null) stack.push(...speaker);
    else if (error.keyword !== 'if') stack.push({ error, branches });
  }
  return stack;
}

function isChoice({ keyword }: ErrorObject): boolean {
  return keyword === 'anyOf' || keyword === 'oneOf';
}

function firstBranch(stack: readonly Collapsed[], choice: ErrorObject): number {
  let start = stack.length;
  while (start > 0 && branchOf(choice, stack[start - 1]!.error) !== null) start -= 1;
  return start;
}

/** The errors of the only branch whose errors all lie inside the value: the value itself fits it. */
function bestBranch(choice: ErrorObject, branches: readonly Collapsed[]): readonly Collapsed[] | null {
  const grouped = Map.groupBy(branches, ({ error }) => branchOf(choice, error));
  const inside = [...grouped.values()].filter((group) => group.every(({ error }) => isInside(error, choice)));
  return inside.length === 1 ? inside[0]! : null;
}

/**
 * The index of the branch that an error comes from; null when it comes from elsewhere. Behind a reference the path
 * starts anew, so an error outside the schema that holds the choice is taken to come from its referring branches.
 */
function branchOf(choice: ErrorObject, error: ErrorObject): number | null {
  const own = `${choice.schemaPath}/`;
  if (error.schemaPath.startsWith(own)) return Number.parseInt(error.schemaPath.slice(own.length), 10);
  const branches = (Array.isArray(choice.schema) ? choice.schema : []) as { $ref?: string }[];
  const referring = branches.findIndex(({ $ref }) => $ref !== undefined);
  const isElsewhere = referring === -1 || !error.instancePath.startsWith(choice.instancePath);
  return isElsewhere || holds(choice.parentSchema, error.parentSchema) ? null : referring;
}

const DEFINITIONS: ReadonlySet<string> = new Set(['$defs', 'definitions']);

/** Returns whether a schema is in another, neither behind a reference nor among the definitions. */
function holds(schema: unknown, part: unknown): boolean {
  const open: unknown[] = [schema];
  while (open.length > 0) {
    const next = open.pop();
    if (next === part) return true;
    if (typeof next !== 'object' || next === null) continue;
    for (const [key, item] of Object.entries(next)) if (!DEFINITIONS.has(key)) open.push(item);
  }
  return false;
}

function isInside(error: ErrorObject, choice: ErrorObject): boolean {
  return error.instancePath.length > choice.instancePath.length || memberAt(error) !== null;
}

function toProblem(found: Collapsed): Problem {
  const { error } = found;
  const member = memberAt(error);
  if (member !== null) return memberProblem(error, member);
  const name = error.instancePath === '' ? 'The value' : JSON.stringify(lastSegment(error.instancePath));
  const message = `${name} is ${describe(error.data)}; it must be ${expectation(found)}.${hintFor(found)}`;
  return { pointer: error.instancePath, code: codeOf(error), message };
}

/** The member of the object at the error's place that the error is about: one that is missing or not known. */
function memberAt({ keyword, params }: ErrorObject): string | null {
  const named: Record<string, unknown> = {
    required: params.missingProperty,
    dependentRequired: params.missingProperty,
    additionalProperties: params.additionalProperty,
    unevaluatedProperties: params.unevaluatedProperty,
  };
  const member = Object.hasOwn(named, keyword) ? named[keyword] : undefined;
  return typeof member === 'string' ? member : null;
}

function memberProblem(error: ErrorObject, member: string): Problem {
  const pointer = error.instancePath + pointerSegment(member);
  const quoted = JSON.stringify(member);
  if (error.keyword === 'required')
    return { pointer, code: 'missing_field', message: `${quoted} is missing; give it.` };
  if (error.keyword === 'dependentRequired') {
    const message = `${quoted} is missing; it must be there because ${JSON.stringify(error.params.property)} is.`;
    return { pointer, code: 'missing_field', message };
  }
  const known = Object.keys((error.parentSchema?.properties as object | undefined) ?? {});
  const allowed =
    known.length === 0 ? 'None are allowed here.' : `Known are ${known.slice(0, 20).join(', ')}.`;
  const message = `There is no ${quoted} here.${didYouMean(member, known)} ${allowed}`;
  return { pointer, code: 'unknown_field', message };
}

function codeOf({ keyword }: ErrorObject): ProblemCode {
  if (keyword === 'type') return 'invalid_type';
  return keyword === 'false schema' ? 'unknown_field' : 'invalid_value';
}

/** The nearest of the allowed values, here or in a branch about the same value. */
function hintFor({ error, branches }: Collapsed): string {
  const enums = [error, ...branches.map((branch) => branch.error)].filter(
    ({ keyword, instancePath }) => keyword === 'enum' && instancePath === error.instancePath,
  );
  const allowed = enums.flatMap(({ schema }) => schema as unknown[]);
  if (typeof error.data !== 'string') return '';
  return didYouMean(
    error.data,
    allowed.filter((value) => typeof value === 'string'),
  );
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  integer: 'a whole number',
  boolean: 'true or false',
  object: 'an object',
  array: 'a list',
  null: 'null',
};

/** The expected value, to follow "it must be". */
function expectation({ error, branches }: Collapsed): string {
  const { keyword, params } = error;
  const phrase = Object.hasOwn(PHRASES, keyword) ? PHRASES[keyword] : undefined;
  if (phrase !== undefined) return phrase(params, error.parentSchema ?? {});
  if (keyword === 'oneOf' && params.passingSchemas != null)
    return 'what fits exactly one of the alternatives; it fits several';
  if (!isChoice(error) || branches.length === 0) return `valid (${error.message ?? keyword})`;
  const grouped = Map.groupBy(branches, (branch) => branchOf(error, branch.error));
  const alternatives = [...grouped.values()].map((group) => branchExpectation(group[0]!, error));
  return [...new Set(alternatives)].join(', or ');
}

function branchExpectation(branch: Collapsed, choice: ErrorObject): string {
  const member = memberAt(branch.error);
  if (member !== null) {
    const unknown = codeOfMember(branch.error) === 'unknown_field';
    return `an object ${unknown ? 'without' : 'with'} ${JSON.stringify(member)}`;
  }
  const inside = branch.error.instancePath.slice(choice.instancePath.length);
  const expected = expectation(branch);
  return inside === '' ? expected : `something in which ${inside} is ${expected}`;
}

function codeOfMember({ keyword }: ErrorObject): string {
  return keyword.endsWith('equired') ? 'missing_field' : 'unknown_field';
}

type Phrase = (params: Record<string, unknown>, schema: Record<string, unknown>) => string;

const PHRASES: Readonly<Record<string, Phrase>> = {
  type: ({ type }) =>
    [type]
      .flat()
      .map((name) => TYPES[String(name)] ?? String(name))
      .join(' or '),
  enum: (_params, schema) => `one of ${(schema.enum as unknown[]).slice(0, 30).map(describe).join(', ')}`,
  const: (_params, schema) => describe(schema.const),
  minimum: ({ limit }) => `at least ${limit}`,
  maximum: ({ limit }) => `at most ${limit}`,
  exclusiveMinimum: ({ limit }) => `more than ${limit}`,
  exclusiveMaximum: ({ limit }) => `less than ${limit}`,
  multipleOf: (_params, schema) => `a multiple of ${schema.multipleOf}`,
  minLength: ({ limit }) => `text of at least ${limit} characters`,
  maxLength: ({ limit }) => `text of at most ${limit} characters`,
  pattern: ({ pattern }, { examples }) =>
    isTextList(examples) ? `text such as ${alternatives(examples)}` : `text that matches ${pattern}`,
  format: ({ format }) => `text in the format ${format}`,
  minItems: ({ limit }) => `a list of at least ${limit} items`,
  maxItems: ({ limit }) => `a list of at most ${limit} items`,
  additionalItems: ({ limit }) => `a list of at most ${limit} items`,
  items: ({ limit }) => `a list of at most ${limit} items`,
  uniqueItems: () => 'a list in which no item is there twice',
  contains: ({ minContains }) => `a list with at least ${minContains} items of the kind that is asked for`,
  minProperties: ({ limit }, schema) =>
    `an object with ${limit === 1 ? 'one' : `at least ${limit}`} of ${membersOf(schema)}`,
  maxProperties: ({ limit }, schema) =>
    `an object with ${limit === 1 ? 'only one' : `at most ${limit}`} of ${membersOf(schema)}`,
  propertyNames: ({ propertyName }) => `an object without the name ${describe(propertyName)}`,
  'false schema': () => 'left out',
  not: () => 'something else',
};

function isTextList(examples: unknown): examples is string[] {
  return (
    Array.isArray(examples) && examples.length > 0 && examples.every((example) => typeof example === 'string')
  );
}

/** `"30s", "5m" or "2h"` */
function alternatives(texts: readonly string[]): string {
  const shown = texts.slice(0, MAX_EXAMPLES).map(describe);
  return shown.length === 1 ? shown[0]! : `${shown.slice(0, -1).join(', ')} or ${shown.at(-1)}`;
}

function membersOf({ properties }: Record<string, unknown>): string {
  const names = Object.keys((properties as object | undefined) ?? {});
  return names.length === 0 ? 'its members' : names.slice(0, 20).join(', ');
}

function describe(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object' && value !== null) {
    return Object.keys(value).length === 0 ? 'an empty object' : 'an object';
  }
  if (typeof value !== 'string') return String(value);
  return JSON.stringify(cutText(value, MAX_SHOWN_LENGTH));
}

function lastSegment(pointer: string): string {
  const segment = pointer.slice(pointer.lastIndexOf('/') + 1);
  return segment.replaceAll('~1', '/').replaceAll('~0', '~');
}
