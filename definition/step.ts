/**
 * One step of a definition, read field by field.
 *
 * A draft keeps what the checks across steps need: where it was written and which parts could be read.
 */

import { isObject, type JsonObject } from '../core/json/json.ts';
import { pointerSegment } from '../core/problem.ts';
import { compensationKey } from '../core/scopes/step-path.ts';
import type { StepTypeInfo, StepTypeRegistry } from '../core/step-type.ts';
import { NO_SCOPES, type TemplateStep } from '../core/template.ts';
import { parseDuration } from '../core/time/duration.ts';
import {
  type FieldReader,
  fieldOf,
  missing,
  place,
  readDuration,
  readInteger,
  refuseUnknownFields,
  wrongType,
} from './fields.ts';
import { mergeEdges, readJoin, readNeeds } from './needs.ts';
import { DEFAULT_RETRY, onExhausted, readConcurrency, readRateLimit, readRetry } from './policies.ts';
import { describe, listNames, type ProblemList } from './problem-list.ts';
import type { StepDraft } from './step-draft.ts';

export const STEP_FIELDS = [
  'type',
  'needs',
  'join',
  'when',
  'with',
  'retry',
  'timeout',
  'heartbeatTimeout',
  'priority',
  'concurrency',
  'rateLimit',
  'compensateWith',
  'onExhausted',
] as const;
export const STEP_KEY = /^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$/;
export const PRIORITY_RANGE = { min: -1_000_000, max: 1_000_000 };

/**
 * Reads a step. A field that cannot be read is reported and replaced by its default, so that others can still refer to
 * the step.
 */
export function readStep(
  key: string,
  value: unknown,
  scope: { pointer: string; problems: ProblemList; stepTypes: StepTypeRegistry },
): StepDraft {
  const { problems } = scope;
  const pointer = scope.pointer + pointerSegment(key);
  checkKey(key, pointer, problems);
  const fields = isObject(value) ? value : {};
  const reader: FieldReader = { fields, pointer, problems };
  if (!isObject(value)) {
    problems.add(
      pointer,
      'invalid_type',
      `The step is ${describe(value)}; it must be an object with a "type".`,
    );
    const needs = { entries: [], complete: false };
    return { step: emptyStep(key), pointer, needs, type: null, compensation: null };
  }
  refuseUnknownFields(reader, STEP_FIELDS);
  const type = readType(reader, scope.stepTypes);
  const needs = readNeeds(reader);
  const edges = mergeEdges(needs.entries);
  const timeoutMs = readTimeout(reader, type);
  const compensation = readCompensation(reader, key, scope.stepTypes);
  const step: TemplateStep = {
    key,
    type: typeof value.type === 'string' ? value.type : '',
    edges,
    needsCount: needs.entries.length,
    ...readJoin(reader, needs.complete ? edges.length : null),
    when: readWhen(reader),
    with: readWith(reader),
    retry: readRetry(reader),
    timeoutMs,
    heartbeatTimeoutMs: readHeartbeatTimeout(reader, type, timeoutMs),
    priority: readInteger(reader, 'priority', PRIORITY_RANGE, 0),
    concurrency: readConcurrency(reader),
    rateLimit: readRateLimit(reader),
    ...onExhausted(reader),
    compensation: compensation?.step ?? null,
    scopes: NO_SCOPES,
  };
  return { step, pointer, needs, type, compensation };
}

function checkKey(key: string, pointer: string, problems: ProblemList): void {
  if (key === '__proto__') {
    problems.add(
      pointer,
      'invalid_key',
      'A step cannot be named "__proto__", which JavaScript reserves; choose another key.',
    );
  } else if (!STEP_KEY.test(key)) {
    const rule = 'a letter or _ first, then up to 63 letters, digits, _ or -';
    problems.add(pointer, 'invalid_key', `${describe(key)} is no step key; use ${rule}.`);
  }
}

function readHeartbeatTimeout(
  reader: FieldReader,
  type: StepTypeInfo | null,
  timeoutMs: number | null,
): number | null {
  const ms = readDuration(reader, 'heartbeatTimeout', 'refused');
  if (ms === null) return null;
  const pointer = place(reader, 'heartbeatTimeout');
  if (type?.sendsNoHeartbeats === true) {
    const message = `A step of type "${type.type}" sends no heartbeats; give it a "timeout" instead.`;
    reader.problems.add(pointer, 'no_heartbeats', message);
  } else if (timeoutMs !== null && ms >= timeoutMs) {
    const message = `"heartbeatTimeout" is ${ms} ms and never over before "timeout", which is ${timeoutMs} ms; give less, or leave one out.`;
    reader.problems.add(pointer, 'invalid_value', message);
  }
  return ms;
}

function readWhen(reader: FieldReader): boolean | string | undefined {
  const value = fieldOf(reader.fields, 'when');
  if (value === undefined || typeof value === 'boolean') return value;
  const expression = typeof value === 'string' ? value.trim() : '';
  if (isOneExpression(expression)) return expression;
  const wanted = 'true, false or exactly one expression between ${{ and }}';
  const inner = /^\$?\{\{?([^{}]*)\}?\}$/.exec(expression)?.[1] ?? expression;
  const mend =
    typeof value === 'string' && !value.includes('${{')
      ? `, such as \${{ ${inner.trim() || 'input.ok'} }}`
      : '';
  const message = `"when" is ${describe(value)}; it must be ${wanted}${mend}.`;
  reader.problems.add(place(reader, 'when'), 'when_not_expression', message);
  return undefined;
}

/** Returns whether a text is one `${{ }}` and nothing else. */
function isOneExpression(text: string): boolean {
  return text.startsWith('${{') && text.endsWith('}}') && text.length >= 5 && text.indexOf('${{', 3) === -1;
}

/** Returns a step of no type, with the defaults of all fields. */
function emptyStep(key: string): TemplateStep {
  return {
    key,
    type: '',
    edges: [],
    needsCount: 0,
    join: 'all',
    cancelsLosers: false,
    when: undefined,
    with: undefined,
    retry: DEFAULT_RETRY,
    timeoutMs: null,
    heartbeatTimeoutMs: null,
    priority: 0,
    concurrency: null,
    rateLimit: null,
    compensation: null,
    scopes: NO_SCOPES,
  };
}

function readType(reader: FieldReader, stepTypes: StepTypeRegistry): StepTypeInfo | null {
  const value = fieldOf(reader.fields, 'type');
  if (typeof value === 'string') {
    const type = stepTypes.get(value);
    if (type !== undefined) return type;
    const names = [...stepTypes.keys()].sort();
    const hint = reader.problems.suggest(value, names);
    const message = `There is no step type ${describe(value)}.${hint} Registered are ${listNames(names, 40)}.`;
    reader.problems.add(place(reader, 'type'), 'unknown_step_type', message);
  } else if (value === undefined) {
    missing(reader, 'type', `a step type, such as ${listNames([...stepTypes.keys()].sort(), 3)}`);
  } else {
    reader.problems.add(
      place(reader, 'type'),
      'invalid_type',
      `"type" is ${describe(value)}; give the name of a step type.`,
    );
  }
  return null;
}

/** Reads the timeout, which some types have among their parameters. One that an expression gives is known later. */
function readTimeout(reader: FieldReader, type: StepTypeInfo | null): number | null {
  const own = readDuration(reader, 'timeout', 'refused');
  const name = type?.timeoutIn;
  const params = fieldOf(reader.fields, 'with');
  const given = name !== undefined && isObject(params) ? fieldOf(params, name) : undefined;
  if (given === undefined) return own;
  if (fieldOf(reader.fields, 'timeout') !== undefined) {
    const message = `"with.${name}" of a step of type "${type!.type}" is its "timeout"; give one of the two.`;
    reader.problems.add(place(reader, 'timeout'), 'invalid_value', message);
  }
  return typeof given === 'string' || typeof given === 'number' ? parseDuration(given) : null;
}

function readWith(reader: FieldReader): JsonObject | undefined {
  const value = fieldOf(reader.fields, 'with');
  if (value === undefined || isObject(value)) return value as JsonObject | undefined;
  wrongType(reader, 'with', value, 'an object of parameters');
  return undefined;
}

const COMPENSATION_FIELDS = ['type', 'with', 'retry', 'timeout'] as const;

const NO_NEEDS = { entries: [], complete: true };

/**
 * Reads `compensateWith`: the step that undoes this one, with fewer fields than a step. Returns null when there is none, or none
 * that can be read.
 */
function readCompensation(of: FieldReader, key: string, stepTypes: StepTypeRegistry): StepDraft | null {
  const value = fieldOf(of.fields, 'compensateWith');
  if (value === undefined) return null;
  if (!isObject(value)) {
    wrongType(of, 'compensateWith', value, 'an object with a "type"');
    return null;
  }
  const pointer = place(of, 'compensateWith');
  const reader: FieldReader = { fields: value, pointer, problems: of.problems };
  refuseUnknownFields(reader, COMPENSATION_FIELDS);
  const type = readType(reader, stepTypes);
  const timeoutMs = readTimeout(reader, type);
  if (type !== null) refuseType(reader, type, hasTimeout(value, type));
  const step: TemplateStep = {
    ...emptyStep(compensationKey(key)),
    type: type?.type ?? '',
    with: readWith(reader),
    retry: readRetry(reader),
    timeoutMs,
  };
  return { step, pointer, type, needs: NO_NEEDS, compensation: null };
}

function hasTimeout(fields: Record<string, unknown>, { timeoutIn }: StepTypeInfo): boolean {
  const params = fieldOf(fields, 'with');
  const given = timeoutIn !== undefined && isObject(params) ? fieldOf(params, timeoutIn) : undefined;
  return given !== undefined || fieldOf(fields, 'timeout') !== undefined;
}

function refuseType(reader: FieldReader, { type, holds, waitsFor }: StepTypeInfo, isTimed: boolean): void {
  if ((holds ?? []).length > 0 || waitsFor === 'child' || waitsFor === 'scopes') {
    const message = `A step of type "${type}" holds other steps or starts an execution, and cannot be a compensation.`;
    reader.problems.add(place(reader, 'type'), 'invalid_compensation', message);
  } else if (waitsFor !== undefined && !isTimed) {
    const message = `A step of type "${type}" waits for the outside; as a compensation it needs a "timeout".`;
    reader.problems.add(place(reader, 'type'), 'invalid_compensation', message);
  }
}
