/**
 * Turns a definition document into a template: reads every field and checks every rule of the format, all at once.
 *
 * Not here: text to document (core/json/parse-json.ts, document.ts), and storing it.
 *
 * Invariant 1: a template comes out exactly when there are no errors; warnings never stop one.
 * Invariant 2: no document makes a check throw, and no check recurses or is quadratic in the steps.
 */

import { isObject, type Json, type JsonObject, type JsonSchema } from '../core/json/json.ts';
import { segmentKey } from '../core/json/pointer.ts';
import { findUnstorable } from '../core/json/storable.ts';
import type { Problem } from '../core/problem.ts';
import { compensationKey, stepPath } from '../core/scopes/step-path.ts';
import type { Template } from '../core/template.ts';
import { asWritten } from './child-scope.ts';
import {
  type FieldReader,
  fieldOf,
  missing,
  place,
  readChoice,
  readDuration,
  readText,
  refuseUnknownFields,
  wrongType,
} from './fields.ts';
import type { Judgement } from './judgement.ts';
import type { LintContext } from './lint/context.ts';
import { lint, lintNew } from './lint/lint.ts';
import { onExhausted } from './policies.ts';
import { describe, ProblemList } from './problem-list.ts';
import { countSteps, findScopes, readScopes } from './scopes.ts';
import type { ScopeDraft } from './step-draft.ts';

export interface ReadDefinition {
  /** Null when there are errors. */
  template: Template | null;
  errors: Problem[];
  warnings: Problem[];
}

/** `$schema` is for editors and means nothing to the engine. */
export const DEFINITION_FIELDS = [
  '$schema',
  'name',
  'description',
  'input',
  'timeout',
  'onFailure',
  'onExhausted',
  'output',
  'steps',
] as const;
export const TEMPLATE_NAME = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$/;

export function readDefinition(document: unknown, context: LintContext): ReadDefinition {
  const errors = new ProblemList();
  const warnings = new ProblemList();
  const template = read(document, context, errors, warnings, lintNew);
  const found = placed(errors);
  return { template: found.length === 0 ? template : null, errors: found, warnings: placed(warnings) };
}

function placed(problems: ProblemList): Problem[] {
  return problems.list().map((problem) => ({ ...problem, pointer: asWritten(problem.pointer) }));
}

/** Places below a step that are used only where it is run. */
const OF_THE_RUN = /^\/(?:type|with|when|heartbeatTimeout|concurrency|rateLimit)(?:\/|$)/;
/**
 * Problems that may come from changed routes of step types since the definition was published. No decision depends on
 * them.
 */
const OF_ROUTES: ReadonlySet<string> = new Set([
  'route_not_allowed',
  'unknown_route',
  'unreachable_step',
  'impossible_join',
]);
const NO_LIMITS = {
  maxSteps: Number.POSITIVE_INFINITY,
  maxScopeDepth: Number.POSITIVE_INFINITY,
  maxDepth: Number.POSITIVE_INFINITY,
};

/**
 * Judges a published definition. The engine that published it may have had other step types or settings, or a newer
 * version.
 */
export function judgeStored(document: unknown, context: LintContext): Judgement {
  const problems = new ProblemList(Number.POSITIVE_INFINITY);
  const stored = ofStored(context);
  read(document, stored, problems, new ProblemList(), lint);
  const found = problems.list().filter(({ code }) => !OF_ROUTES.has(code));
  if (found.length === 0) return { errors: [], faults: {} };
  const places = isObject(document) ? findScopes(document, stored, new ProblemList(0)) : [];
  const scopes = new Map(places.map(({ pointer, path }) => [pointer, path]));
  const errors: Problem[] = [];
  const faults = new Map<string, Problem>();
  for (const problem of found) {
    const step = compensatedAt(stepAt(problem.pointer, scopes));
    if (step === null || !OF_THE_RUN.test(step.below)) errors.push(problem);
    else if (!faults.has(step.path)) faults.set(step.path, problem);
  }
  return { errors, faults: Object.fromEntries(faults) };
}

/** Returns the innermost step that has a pointer, and the pointer below it. @param scopes their paths by pointer */
function stepAt(
  pointer: string,
  scopes: ReadonlyMap<string, string>,
): { path: string; below: string } | null {
  let found: { path: string; below: string } | null = null;
  for (let end = pointer.indexOf('/', 1); end !== -1; end = pointer.indexOf('/', end + 1)) {
    const scope = scopes.get(pointer.slice(0, end));
    if (scope === undefined) continue;
    const [segment] = pointer.slice(end + 1).split('/', 1);
    found = { path: stepPath(scope, segmentKey(segment!)), below: pointer.slice(end + 1 + segment!.length) };
  }
  return found;
}

/** Returns the compensation, if the place is below one. */
function compensatedAt(found: { path: string; below: string } | null) {
  const below = found === null ? null : /^\/compensateWith(\/.*)?$/.exec(found.below);
  return below === null ? found : { path: compensationKey(found!.path), below: below[1] ?? '' };
}

/** The template of a definition that was judged to have no errors. Yields after each step, so that it can be paused. */
export function* buildStored(document: JsonObject, context: LintContext): Generator<void, Template> {
  const unheard = new ProblemList(0);
  const { schemas, ...others } = ofStored(context);
  const trusting = { ...others, schemas: { ...schemas, checkSchema: () => [] } };
  const reader: FieldReader = { fields: document, pointer: '', problems: unheard };
  const header = readHeader(reader, trusting);
  const places = findScopes(document, trusting, unheard);
  const [top] = yield* readScopes(places, unheard, trusting.stepTypes);
  return { ...header, steps: top!.drafts.map(({ step }) => step) };
}

/** Published definitions stay valid when a limit is lowered, or a bound is new. */
function ofStored({ schemas, ...context }: LintContext): LintContext {
  return { ...context, limits: NO_LIMITS, schemas: { ...schemas, checkSchema: schemas.checkStored } };
}

function read(
  document: unknown,
  context: LintContext,
  errors: ProblemList,
  warnings: ProblemList,
  checkAcross: typeof lintNew,
): Template | null {
  if (!isObject(document)) {
    const message = `The definition is ${describe(document)}; it must be an object with "name" and "steps".`;
    errors.add('', 'not_an_object', message);
    return null;
  }
  if (!canBeRead(document, context.limits.maxDepth, errors)) return null;
  const reader: FieldReader = { fields: document, pointer: '', problems: errors };
  refuseUnknownFields(reader, DEFINITION_FIELDS);
  const header = readHeader(reader, context);
  const scopes = readSteps(reader, context);
  if (scopes === null) return null;
  refuseInScopes(scopes, errors);
  checkAcross({ scopes, timeoutMs: header.timeoutMs }, context, errors, warnings);
  return { ...header, steps: scopes[0]!.drafts.map(({ step }) => step) };
}

function readHeader(reader: FieldReader, context: LintContext): Omit<Template, 'steps'> {
  return {
    name: readName(reader),
    description: readText(reader, 'description'),
    input: readInput(reader, context),
    timeoutMs: readDuration(reader, 'timeout', 'refused'),
    onFailure: readChoice(reader, 'onFailure', ['stop', 'continue'], 'stop'),
    ...onExhausted(reader),
    output: fieldOf(reader.fields, 'output') as Json | undefined,
  };
}

/** The failure of a step in a scope reaches the step that holds the scope: that one pauses the execution. */
function refuseInScopes(scopes: readonly ScopeDraft[], errors: ProblemList): void {
  for (const { drafts } of scopes.slice(1))
    for (const { step, pointer } of drafts)
      if (step.onExhausted === 'pause')
        errors.add(
          `${pointer}/onExhausted`,
          'invalid_value',
          'A step inside another one cannot pause the execution; give the step around it "onExhausted": "pause".',
        );
}

/** Reports values that cannot be stored; false when the document is not JSON at all and cannot be read. */
function canBeRead(document: unknown, maxDepth: number, errors: ProblemList): boolean {
  const found = findUnstorable(document, { maxDepth });
  if (found === null) return true;
  const { pointer, kind, reason } = found;
  if (kind === 'depth') errors.add(pointer, 'too_deep', `The value here ${reason}; make it flatter.`);
  else errors.add(pointer, 'not_storable', `The value here ${reason}; remove it or write it another way.`);
  return kind === 'text' || kind === 'number';
}

function readName(reader: FieldReader): string {
  const name = fieldOf(reader.fields, 'name');
  const rule = 'a letter or digit first, then up to 127 letters, digits, ".", "_" or "-"';
  if (name === undefined) missing(reader, 'name', `the name of the workflow: ${rule}`);
  else if (typeof name !== 'string') {
    reader.problems.add('/name', 'invalid_type', `"name" is ${describe(name)}; give text: ${rule}.`);
  } else if (TEMPLATE_NAME.test(name)) return name;
  else reader.problems.add('/name', 'invalid_name', `${describe(name)} is no name; use ${rule}.`);
  return '';
}

function readInput(reader: FieldReader, context: LintContext): JsonSchema | null {
  const schema = fieldOf(reader.fields, 'input');
  if (schema === undefined) return null;
  if (!isObject(schema) && typeof schema !== 'boolean') {
    wrongType(reader, 'input', schema, 'a JSON Schema 2020-12 (an object, true or false)');
    return null;
  }
  for (const { pointer, message } of context.schemas.checkSchema(schema)) {
    reader.problems.add(place(reader, 'input') + pointer, 'invalid_schema', message);
  }
  return schema as JsonSchema;
}

/** Null when no further check is possible. */
function readSteps(reader: FieldReader, context: LintContext): ScopeDraft[] | null {
  const { fields, problems } = reader;
  const places = findScopes(fields, context, problems);
  const { maxSteps } = context.limits;
  const count = countSteps(places);
  if (count > maxSteps) {
    const counted = places.length > 1 ? ', with those inside other steps' : '';
    const message = `The definition has ${count} steps${counted}; at most ${maxSteps} are allowed. Split it into several workflows.`;
    problems.add(place(reader, 'steps'), 'too_many_steps', message);
    return null;
  }
  const scopes = toTheEnd(readScopes(places, problems, context.stepTypes));
  return scopes[0]!.drafts.length === 0 ? null : scopes;
}

function toTheEnd<T>(work: Generator<void, T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
  }
}
