/**
 * Turns a definition document into a template: reads every field and checks every rule of the format, all at once.
 *
 * Not here: text to document (core/json/parse-json.ts, document.ts), and storing it.
 *
 * Invariant 1: a template comes out exactly when there are no errors; warnings never stop one.
 * Invariant 2: no document makes a check throw, and no check recurses or is quadratic in the steps.
 */

import { isObject, type Json, type JsonObject, type JsonSchema } from '../core/json/json.ts';
import { findUnstorable } from '../core/json/storable.ts';
import type { Problem } from '../core/problem.ts';
import type { Template, TemplateStep } from '../core/template.ts';
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
import { describe, ProblemList } from './problem-list.ts';
import { readStep } from './step.ts';
import type { StepDraft } from './step-draft.ts';

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
  'output',
  'steps',
] as const;
export const TEMPLATE_NAME = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$/;

export function readDefinition(document: unknown, context: LintContext): ReadDefinition {
  const errors = new ProblemList();
  const warnings = new ProblemList();
  const template = read(document, context, errors, warnings, lintNew);
  const found = errors.list();
  return { template: found.length === 0 ? template : null, errors: found, warnings: warnings.list() };
}

/** Places that are used only where the step is run. */
const OF_THE_RUN = /^\/steps\/([^/]+)\/(?:type|with|when|heartbeatTimeout|concurrency|rateLimit)(?:\/|$)/;
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
const NO_LIMITS = { maxSteps: Number.POSITIVE_INFINITY, maxDepth: Number.POSITIVE_INFINITY };

/**
 * Judges a published definition. The engine that published it may have had other step types or settings, or a newer
 * version.
 */
export function judgeStored(document: unknown, context: LintContext): Judgement {
  const problems = new ProblemList(Number.POSITIVE_INFINITY);
  read(document, ofStored(context), problems, new ProblemList(), lint);
  const errors: Problem[] = [];
  const faults = new Map<string, Problem>();
  for (const problem of problems.list()) {
    if (OF_ROUTES.has(problem.code)) continue;
    const key = OF_THE_RUN.exec(problem.pointer)?.[1];
    if (key === undefined) errors.push(problem);
    else if (!faults.has(key)) faults.set(key, problem);
  }
  return { errors, faults: Object.fromEntries(faults) };
}

/** The template of a definition that was judged to have no errors. Yields after each step, so that it can be paused. */
export function* buildStored(document: JsonObject, context: LintContext): Generator<void, Template> {
  const unheard = new ProblemList(0);
  const { schemas, ...others } = ofStored(context);
  const trusting = { ...others, schemas: { ...schemas, checkSchema: () => [] } };
  const reader: FieldReader = { fields: document, pointer: '', problems: unheard };
  const header = readHeader(reader, trusting);
  const steps: TemplateStep[] = [];
  for (const draft of stepDrafts(document.steps as JsonObject, place(reader, 'steps'), reader, trusting)) {
    steps.push(draft.step);
    yield;
  }
  return { ...header, steps };
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
  const drafts = readSteps(reader, context);
  if (drafts === null) return null;
  const { output, timeoutMs } = header;
  checkAcross({ drafts, output, timeoutMs }, context, errors, warnings);
  return { ...header, steps: drafts.map(({ step }) => step) };
}

function readHeader(reader: FieldReader, context: LintContext): Omit<Template, 'steps'> {
  return {
    name: readName(reader),
    description: readText(reader, 'description'),
    input: readInput(reader, context),
    timeoutMs: readDuration(reader, 'timeout', 'refused'),
    onFailure: readChoice(reader, 'onFailure', ['stop', 'continue'], 'stop'),
    output: fieldOf(reader.fields, 'output') as Json | undefined,
  };
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
function readSteps(reader: FieldReader, context: LintContext): StepDraft[] | null {
  const { fields, problems } = reader;
  const steps = fieldOf(fields, 'steps');
  const pointer = place(reader, 'steps');
  if (steps !== undefined && !isObject(steps)) {
    const message = `"steps" is ${describe(steps)}; it must be an object: the key of each step, and the step.`;
    problems.add(pointer, 'invalid_type', message);
    return null;
  }
  const keys = Object.keys(steps ?? {});
  if (steps === undefined || keys.length === 0) {
    problems.add(pointer, 'no_steps', 'The definition has no steps; give at least one under "steps".');
    return null;
  }
  const { maxSteps } = context.limits;
  if (keys.length > maxSteps) {
    const message = `The definition has ${keys.length} steps; at most ${maxSteps} are allowed. Split it into several workflows.`;
    problems.add(pointer, 'too_many_steps', message);
    return null;
  }
  return [...stepDrafts(steps, pointer, reader, context)];
}

function* stepDrafts(
  steps: Readonly<Record<string, unknown>>,
  pointer: string,
  { problems }: FieldReader,
  { stepTypes }: LintContext,
): Generator<StepDraft> {
  for (const key of Object.keys(steps)) yield readStep(key, steps[key], { pointer, problems, stepTypes });
}
