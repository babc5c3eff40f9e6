/**
 * `needs` and `join` of a step: the entries as written, the edges they merge into, how many must be live.
 *
 * Not here: whether the steps and routes that are named exist (see lint-edges.ts).
 */

import { isObject } from '../core/json/json.ts';
import { pointerSegment } from '../core/problem.ts';
import type { Edge, EdgeCondition, EdgeOn, Join, TemplateStep } from '../core/template.ts';
import {
  type FieldReader,
  fieldOf,
  missing,
  place,
  readBoolean,
  readChoice,
  refuseUnknownFields,
} from './fields.ts';
import { describe, quote } from './problem-list.ts';
import type { Need, Needs } from './step-draft.ts';

export const NEED_FIELDS = ['step', 'on', 'route'] as const;
export const JOIN_FIELDS = ['atLeast', 'cancelLosers'] as const;
export const EDGE_ON: readonly EdgeOn[] = ['success', 'failure', 'always'];
const WANTED = 'a step key, or { step, on, route }';

/** A list of entries; one entry alone is a list of one. */
export function readNeeds(step: FieldReader): Needs {
  const value = fieldOf(step.fields, 'needs');
  if (value === undefined) return { entries: [], complete: true };
  const pointer = place(step, 'needs');
  const single = typeof value === 'string' || isObject(value);
  if (!single && !Array.isArray(value)) {
    step.problems.add(
      pointer,
      'invalid_type',
      `"needs" is ${describe(value)}; give a list of entries, each ${WANTED}.`,
    );
    return { entries: [], complete: false };
  }
  const read = single
    ? [readNeed(step, value, pointer)]
    : value.map((entry, index) => readNeed(step, entry, pointer + pointerSegment(index)));
  const entries = read.filter((need) => need !== null);
  return { entries, complete: entries.length === read.length };
}

function readNeed(step: FieldReader, value: unknown, pointer: string): Need | null {
  if (typeof value === 'string') return { from: value, condition: { on: 'success', routes: null }, pointer };
  if (!isObject(value)) {
    step.problems.add(
      pointer,
      'invalid_type',
      `An entry of "needs" is ${describe(value)}; it must be ${WANTED}.`,
    );
    return null;
  }
  const reader: FieldReader = { fields: value, pointer, problems: step.problems };
  refuseUnknownFields(reader, NEED_FIELDS);
  const on = readChoice(reader, 'on', EDGE_ON, 'success');
  const routes = readRoutes(reader, on);
  const from = fieldOf(value, 'step');
  if (typeof from === 'string') return { from, condition: { on, routes }, pointer };
  if (from === undefined) missing(reader, 'step', 'the key of the step that must come first');
  else
    reader.problems.add(
      place(reader, 'step'),
      'invalid_type',
      `"step" is ${describe(from)}; give a step key.`,
    );
  return null;
}

function readRoutes(reader: FieldReader, on: EdgeOn): readonly string[] | null {
  const value = fieldOf(reader.fields, 'route');
  if (value === undefined) return null;
  const pointer = place(reader, 'route');
  if (on !== 'success') {
    const message = `"route" does not go with "on: ${on}": only a step that completed takes a route. Leave one of them out.`;
    reader.problems.add(pointer, 'route_not_allowed', message);
    return null;
  }
  const routes: unknown[] = Array.isArray(value) ? value : [value];
  if (routes.length > 0 && routes.every((route) => typeof route === 'string')) return [...new Set(routes)];
  const message = `"route" is ${describe(value)}; give the name of a route, or a list of at least one name.`;
  reader.problems.add(pointer, 'invalid_type', message);
  return null;
}

/** Entries that name the same step become one edge, in the order of their first entry. */
export function mergeEdges(entries: readonly Need[]): Edge[] {
  const merged = new Map<string, EdgeCondition[]>();
  for (const { from, condition } of entries) {
    const conditions = merged.get(from);
    if (conditions === undefined) merged.set(from, [condition]);
    else conditions.push(condition);
  }
  return Array.from(merged, ([from, conditions]) => ({ from, conditions }));
}

/** A join as written. */
type WrittenJoin = Pick<TemplateStep, 'join' | 'cancelsLosers'>;

const ALL: WrittenJoin = { join: 'all', cancelsLosers: false };

/**
 * Returns `all` when it is absent or wrong. `edges` is the number of distinct predecessors; null when it is not known.
 */
export function readJoin(step: FieldReader, edges: number | null): WrittenJoin {
  const value = fieldOf(step.fields, 'join');
  if (value === undefined) return ALL;
  const join = joinOf(step, value);
  const pointer = place(step, 'join');
  if (edges === 0) {
    step.problems.add(
      pointer,
      'join_on_root',
      '"join" is given but the step needs nothing; remove it, or add "needs".',
    );
    return ALL;
  }
  if (join === null) return ALL;
  const cancelsLosers = readsCancelLosers(step, value);
  if (join === 'all' || edges === null || join <= edges) return { join, cancelsLosers };
  const found = `"atLeast" is ${join} but the step has ${edges} distinct predecessor${edges === 1 ? '' : 's'}`;
  const counted = 'entries that name the same step count once';
  step.problems.add(pointer, 'invalid_join', `${found} (${counted}); give a number from 1 to ${edges}.`);
  return ALL;
}

function readsCancelLosers(step: FieldReader, value: unknown): boolean {
  if (!isObject(value)) return false;
  return readBoolean({ ...step, fields: value, pointer: place(step, 'join') }, 'cancelLosers', false);
}

function joinOf(step: FieldReader, value: unknown): Join | null {
  if (value === 'all') return 'all';
  if (value === 'any') return 1;
  const pointer = place(step, 'join');
  if (!isObject(value) || !Object.hasOwn(value, 'atLeast')) {
    const hint = typeof value === 'string' ? step.problems.suggest(value, ['all', 'any']) : '';
    const found = typeof value === 'string' ? quote(value) : describe(value);
    step.problems.add(
      pointer,
      'invalid_join',
      `"join" is ${found}; allowed are all, any and { atLeast: n, cancelLosers }.${hint}`,
    );
    return null;
  }
  refuseUnknownFields({ fields: value, pointer, problems: step.problems }, JOIN_FIELDS);
  const { atLeast } = value;
  if (typeof atLeast === 'number' && Number.isInteger(atLeast) && atLeast >= 1) return atLeast;
  const message = `"atLeast" is ${describe(atLeast)}; give a whole number from 1 to the number of predecessors.`;
  step.problems.add(pointer, 'invalid_join', message);
  return null;
}
