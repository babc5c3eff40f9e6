/**
 * The scopes of a definition: the top level, and the steps inside steps, at any depth.
 *
 * First the places that hold steps are found, then the steps of each are read. Neither recurses, and what is nested too
 * deeply is not looked into.
 *
 * Invariant 1: the list of scopes has the order of the positions: each is followed by those inside it.
 */
import { isObject, type Json, type JsonObject } from '../core/json/json.ts';
import { pointerSegment } from '../core/problem.ts';
import { scopePath, stepPath } from '../core/scopes/step-path.ts';
import { besideSteps, type HeldScope, type StepTypeRegistry } from '../core/step-type.ts';
import type { ScopeTemplate } from '../core/template.ts';
import { childScope } from './child-scope.ts';
import { type Fields, fieldOf } from './fields.ts';
import type { LintContext } from './lint/context.ts';
import { placesAt, valueAt } from './place.ts';
import { describe, type ProblemList } from './problem-list.ts';
import { holdsExpression } from './schema/loose-schema.ts';
import { readStep } from './step.ts';
import type { ScopeDraft, StepDraft } from './step-draft.ts';

/** Scopes inside each other; the top level counts none. */
export const MAX_SCOPE_DEPTH = 16;

/** A place of a definition that holds steps. */
export interface ScopePlace extends Pick<ScopeDraft, 'held' | 'output'> {
  /** As written. */
  readonly steps: unknown;
  /** Pointer of the steps. */
  readonly pointer: string;
  /** As `scopePath` makes it; empty: the top level. */
  readonly path: string;
  readonly depth: number;
}

/** Finds the places that hold steps; the first one is the top level. */
export function findScopes(
  definition: Fields,
  { stepTypes, limits }: LintContext,
  problems: ProblemList,
): ScopePlace[] {
  const scopes: ScopePlace[] = [];
  const open: ScopePlace[] = [topLevel(definition)];
  for (let place = open.pop(); place !== undefined; place = open.pop()) {
    const found = heldIn(place, scopes.push(place) - 1, stepTypes, problems);
    for (const inner of found.toReversed()) {
      if (inner.depth <= limits.maxScopeDepth) open.push(inner);
      else {
        const message = `These steps are inside more than ${limits.maxScopeDepth} others; put some of them into a workflow of their own.`;
        problems.add(inner.pointer, 'scope_too_deep', message);
      }
    }
  }
  return scopes;
}

export function countSteps(scopes: readonly ScopePlace[]): number {
  return scopes.reduce((sum, { steps }) => sum + (isObject(steps) ? Object.keys(steps).length : 0), 0);
}

function topLevel(definition: Fields): ScopePlace {
  const output = fieldOf(definition, 'output');
  return {
    steps: fieldOf(definition, 'steps'),
    pointer: '/steps',
    path: '',
    depth: 0,
    output: output === undefined ? null : { value: output as Json, pointer: '/output' },
    held: null,
  };
}

function heldIn(
  place: ScopePlace,
  around: number,
  stepTypes: StepTypeRegistry,
  problems: ProblemList,
): ScopePlace[] {
  if (!isObject(place.steps)) return [];
  const entries = Object.entries(place.steps);
  return entries.flatMap(([key, step], holder) => {
    const type = isObject(step) ? fieldOf(step, 'type') : undefined;
    const holds = typeof type === 'string' ? stepTypes.get(type)?.holds : undefined;
    const params = holds === undefined ? undefined : fieldOf(step as Fields, 'with');
    if (holds === undefined || !isObject(params)) return [];
    const pointer = `${place.pointer}${pointerSegment(key)}/with`;
    const path = stepPath(place.path, key);
    const found = holds.flatMap((scope) => scopesAt(params as JsonObject, { scope, key }, pointer, problems));
    return found.map(({ value, output, ...held }, number) => ({
      steps: value,
      pointer: pointer + held.pointer,
      path: scopePath(path, number),
      depth: place.depth + 1,
      output: output === undefined ? null : { value: output.value, pointer: pointer + output.pointer },
      held: { ...held, around, holder },
    }));
  });
}

/** @param held the scope, and the key of its holder */
function scopesAt(
  params: JsonObject,
  { scope, key }: { readonly scope: HeldScope; readonly key: string },
  pointer: string,
  problems: ProblemList,
) {
  refuseComputed(params, scope, pointer, problems);
  return placesAt(params, besideSteps(scope)).flatMap((place) => {
    const steps = valueAt(params, scope.steps, place.stars);
    if (steps === undefined) return childScope(scope, place, key) ?? [];
    const { value, pointer: below } = steps;
    const output = scope.output === undefined ? undefined : valueAt(params, scope.output, place.stars);
    return { scope, value, pointer: below, output };
  });
}

/** Refuses an expression in the place of what has steps inside. */
function refuseComputed(params: JsonObject, { steps }: HeldScope, pointer: string, problems: ProblemList) {
  const segments = steps.split('/');
  for (let length = 2; length < segments.length; length++) {
    for (const place of placesAt(params, segments.slice(0, length).join('/'))) {
      if (typeof place.value !== 'string' || !holdsExpression(place.value)) continue;
      const message = 'Steps are written down, and no expression makes them; write out what has them inside.';
      problems.add(pointer + place.pointer, 'invalid_params', message);
    }
  }
}

/** Reads the steps of all scopes, and gives each holder its own. Yields after each step. */
export function* readScopes(
  places: readonly ScopePlace[],
  problems: ProblemList,
  stepTypes: StepTypeRegistry,
): Generator<void, ScopeDraft[]> {
  const scopes: ScopeDraft[] = [];
  for (const { steps, pointer, output, held } of places) {
    const drafts: StepDraft[] = [];
    if (haveSteps(steps, pointer, held === null, problems)) {
      for (const key of Object.keys(steps)) {
        drafts.push(readStep(key, steps[key], { pointer, problems, stepTypes }));
        yield;
      }
    }
    scopes.push({ drafts, output, held });
  }
  const inner = scopes.filter(({ held }) => held !== null);
  const byHolder = Map.groupBy(inner, ({ held }) => scopes[held!.around]!.drafts[held!.holder]!.step);
  for (const [holder, own] of byHolder) holder.scopes = own.map(toTemplate);
  return scopes;
}

function toTemplate({ drafts, output, held }: ScopeDraft): ScopeTemplate {
  const { names, ownInput = false } = held!.scope;
  const steps = drafts.map(({ step }) => step);
  return { pointer: held!.pointer, names, ownInput, steps, output: output?.value };
}

function haveSteps(
  steps: unknown,
  pointer: string,
  isTop: boolean,
  problems: ProblemList,
): steps is Record<string, unknown> {
  if (steps !== undefined && !isObject(steps)) {
    const message = `"steps" is ${describe(steps)}; it must be an object: the key of each step, and the step.`;
    problems.add(pointer, 'invalid_type', message);
    return false;
  }
  if (steps !== undefined && Object.keys(steps).length > 0) return true;
  const message = isTop
    ? 'The definition has no steps; give at least one under "steps".'
    : 'There are no steps in here; give at least one.';
  problems.add(pointer, 'no_steps', message);
  return false;
}
