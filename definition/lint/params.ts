/**
 * Checks `with` against the step's type, as far as that is possible before expressions are evaluated.
 *
 * Where a string holds an expression, its value is not known: there, the loose variant of the schema allows it
 * (loose-schema.ts).
 */

import { isObject, type Json, type JsonObject, type JsonSchema } from '../../core/json/json.ts';
import { segmentKey } from '../../core/json/pointer.ts';
import { pointerSegment } from '../../core/problem.ts';
import { deferredOf, innerOf, type KnownParams, type StepTypeInfo } from '../../core/step-type.ts';
import type { ProblemList } from '../problem-list.ts';
import { holdsExpression, looseSchema } from '../schema/loose-schema.ts';
import type { StepDraft } from '../step-draft.ts';
import type { LintContext } from './context.ts';

/** Kept as long as its type, so that its validator, which is cached by schema, is compiled once. */
const looseSchemas = new WeakMap<StepTypeInfo, JsonSchema>();

/** By position: whether the parameters are right, so that other checks can rely on them. */
export function checkParams(
  drafts: readonly StepDraft[],
  context: LintContext,
  errors: ProblemList,
): boolean[] {
  return drafts.map((draft) => {
    if (draft.type === null) return false;
    const params = draft.step.with ?? {};
    const isStatic = !someString(ownParams(params, draft.type), holdsExpression);
    const schema = isStatic ? draft.type.schema : looseOf(draft.type);
    const faults = context.schemas.validate(schema, params);
    for (const { pointer, message } of faults) {
      // Steps inside are read as steps.
      if (!isOfSteps(pointer, draft.type))
        errors.add(`${draft.pointer}/with${pointer}`, 'invalid_params', message);
    }
    checkAnswerSchema(draft, context, errors);
    const routesKnown = isStatic || !reportDynamicRoutes(draft, params, errors);
    return faults.length === 0 && routesKnown;
  });
}

function checkAnswerSchema(
  { type, step, pointer }: StepDraft,
  { schemas }: LintContext,
  errors: ProblemList,
) {
  const patterns = [
    ...(type?.schemaIn === undefined ? [] : [`/${type.schemaIn}`]),
    ...(type?.schemasIn ?? []),
  ];
  for (const pattern of patterns) {
    for (const [place, schema] of valuesAt(step.with, pattern.split('/').slice(1))) {
      if (!isObject(schema) && typeof schema !== 'boolean') continue;
      for (const fault of schemas.checkSchema(schema))
        errors.add(`${pointer}/with${place}${fault.pointer}`, 'invalid_schema', fault.message);
    }
  }
}

/** Returns the values at the places of a pattern, with their pointers. */
function valuesAt(
  value: Json | undefined,
  [segment, ...below]: readonly string[],
  pointer = '',
): (readonly [pointer: string, value: Json])[] {
  if (value === undefined) return [];
  if (segment === undefined) return [[pointer, value]];
  if (typeof value !== 'object' || value === null) return [];
  const keys =
    segment === '*' ? Object.keys(value) : [segmentKey(segment)].filter((key) => Object.hasOwn(value, key));
  return keys.flatMap((key) => valuesAt((value as JsonObject)[key], below, pointer + pointerSegment(key)));
}

/** Reports the findings of step types in parameters that fit their schema. */
export function reviewParams(
  drafts: readonly StepDraft[],
  sound: readonly boolean[],
  errors: ProblemList,
): void {
  for (const [position, { type, step, pointer }] of drafts.entries()) {
    if (!sound[position] || type?.review === undefined || step.with === undefined) continue;
    for (const fault of reviewOf(type, step.with))
      errors.add(`${pointer}/with${fault.pointer}`, 'invalid_params', fault.message);
  }
}

/** Warns of settings that steps need and that are not set. Without an engine its settings are not known. */
export function warnSettings(
  drafts: readonly StepDraft[],
  { secrets }: LintContext,
  warnings: ProblemList,
): void {
  if (secrets === null) return;
  for (const { type, step, pointer } of drafts) {
    for (const name of type?.missingSettings?.(step.with ?? {}) ?? []) {
      const message = `${name} is not set: the step will fail with not_configured. Set it, and start the engine again.`;
      warnings.add(`${pointer}/type`, 'not_configured', message);
    }
  }
}

function reviewOf(type: StepTypeInfo, params: JsonObject): ReturnType<NonNullable<StepTypeInfo['review']>> {
  try {
    return type.review?.(known(params, deferredNames(type)) as KnownParams, params) ?? [];
  } catch {
    // A type of the operator's own that trips over its parameters: nothing is known, so nothing is reported.
    return [];
  }
}

/** Parameters that are never evaluated as a whole: the handler gets them as they are written. */
function deferredNames(type: StepTypeInfo): ReadonlySet<string> {
  const whole = deferredOf(type).filter((pattern) => type.holds === undefined || !pattern.includes('/', 1));
  return new Set(whole.map((pattern) => pattern.split('/')[1]!));
}

/** Returns whether a pointer below `with` is of steps inside the step. */
function isOfSteps(pointer: string, { holds = [] }: StepTypeInfo): boolean {
  if (holds.length === 0) return false;
  const segments = pointer.split('/');
  const fits = (segment: string, at: number) => segment === '*' || segment === segments[at];
  return holds.some(({ steps }) => steps.split('/').every(fits));
}

/** Returns the parameters without those that belong to the scopes inside the step. */
export function ownParams(params: JsonObject, type: StepTypeInfo | null): JsonObject {
  const patterns = innerOf(type?.holds ?? []);
  return patterns.reduce<Json>(
    (left, pattern) => without(left, pattern.split('/').slice(1)),
    params,
  ) as JsonObject;
}

function without(value: Json, [segment, ...below]: readonly string[]): Json {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return segment === '*' ? value.map((item) => without(item, below)) : value;
  const key = segmentKey(segment!);
  const entries = Object.entries(value).filter(
    ([name]) => below.length > 0 || (name !== key && segment !== '*'),
  );
  return Object.fromEntries(
    entries.map(([name, item]) => [name, name === key || segment === '*' ? without(item, below) : item]),
  );
}

function known(params: JsonObject, asWritten: ReadonlySet<string>): unknown {
  const entries = Object.entries(params);
  return Object.fromEntries(
    entries.map(([name, value]) => [name, asWritten.has(name) ? value : knownPart(value)]),
  );
}

function knownPart(value: Json): unknown {
  if (typeof value === 'string') return holdsExpression(value) ? undefined : value;
  if (Array.isArray(value)) return value.map(knownPart);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, knownPart(item)]));
}

function looseOf(type: StepTypeInfo): JsonSchema {
  const known = looseSchemas.get(type);
  if (known !== undefined) return known;
  const schema = looseSchema(type.schema);
  looseSchemas.set(type, schema);
  return schema;
}

/**
 * Routes must be known before a step runs. Every string with an expression is replaced by a mark that names it: a route
 * that is a mark is not known.
 */
function reportDynamicRoutes(draft: StepDraft, params: JsonObject, errors: ProblemList): boolean {
  if (draft.type?.routes === undefined) return false;
  let dynamic = false;
  for (const route of routesOf(draft.type, marked(params))) {
    if (!route.startsWith(MARK)) continue;
    dynamic = true;
    const pointer = route.slice(MARK.length);
    const message = 'A route is a fixed name, because edges refer to it; write it without an expression.';
    errors.add(`${draft.pointer}/with${pointer}`, 'invalid_params', message);
  }
  return dynamic;
}

const MARK = '\uE000expression at ';

function routesOf(type: StepTypeInfo, params: JsonObject): readonly string[] {
  try {
    return type.routes?.(params) ?? [];
  } catch {
    // A type of the operator's own that trips over its parameters: nothing is known, so nothing is reported.
    return [];
  }
}

function marked(params: JsonObject): JsonObject {
  return mapStrings(params, (text, pointer) => (holdsExpression(text) ? MARK + pointer : text)) as JsonObject;
}

function mapStrings(value: Json, map: (text: string, pointer: string) => string, pointer = ''): Json {
  if (typeof value === 'string') return map(value, pointer);
  if (Array.isArray(value))
    return value.map((item, index) => mapStrings(item, map, pointer + pointerSegment(index)));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value);
  return Object.fromEntries(
    entries.map(([key, item]) => [key, mapStrings(item, map, pointer + pointerSegment(key))]),
  );
}

/** Returns whether any string in a value, keys aside, matches. */
function someString(value: Json, found: (text: string) => boolean): boolean {
  if (typeof value === 'string') return found(value);
  if (typeof value !== 'object' || value === null) return false;
  return Object.values(value).some((item) => someString(item, found));
}
