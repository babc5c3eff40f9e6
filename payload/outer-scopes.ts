/**
 * The data that a scope's expressions read outside of its own steps: of the scopes around it, and of the values that
 * these and its own give to names.
 */
import { upstreamOf } from '../core/graph.ts';
import type { Json, JsonObject } from '../core/json/json.ts';
import { next } from '../core/next.ts';
import type { ScopeName } from '../core/template.ts';
import type { ScopeRef } from '../core/view.ts';
import type { DataReads, OuterRead } from '../expression/data-reads.ts';
import type { ReadableExecution } from './readable-execution.ts';
import { type ScopeSource, stepsScope } from './scope-source.ts';

export interface Outer {
  /** Of the nearest scope that has its own, or the execution; null: not read. */
  input: Json;
  readonly steps: Record<string, JsonObject>;
  readonly names: Partial<Record<ScopeName, Json>>;
}

/** Returns at once when everything is in memory. */
export function readOuter(
  source: ScopeSource,
  execution: ReadableExecution,
  { outerReads, nameReads, usesInput }: DataReads,
): Outer | Promise<Outer> {
  const outer: Outer = { input: null, steps: {}, names: {} };
  const work: (void | Promise<void>)[] = [];
  for (const { name, up } of nameReads) {
    const value = source.values.read(name, scopeAt(execution.view.scope, up)!);
    work.push(
      next(value, (found) => {
        outer.names[name] = found;
      }),
    );
  }
  // The furthest first: of two steps of one name the nearest counts.
  const levels = levelsAround(execution, outerReads);
  for (const { at, slots } of levels.toReversed()) {
    const reading = source.payloads.read(at, at.view, { input: false, slots, values: true });
    work.push(next(reading, (found) => void Object.assign(outer.steps, stepsScope(found, at.view, slots))));
  }
  if (usesInput) {
    work.push(
      next(inputOf(source, execution), (input) => {
        outer.input = input;
      }),
    );
  }
  const pending = work.filter((part) => part instanceof Promise);
  return pending.length === 0 ? outer : Promise.all(pending).then(() => outer);
}

interface Level {
  readonly at: ReadableExecution;
  readonly slots: readonly number[];
}

/** @param reads null: any step before one of the holders */
function levelsAround(execution: ReadableExecution, reads: readonly OuterRead[] | null): Level[] {
  if (reads?.length === 0) return [];
  const levels: Level[] = [];
  let inner = execution;
  for (let up = 1; inner.around !== null; up += 1) {
    const at = inner.around;
    const slots =
      reads === null
        ? upstreamOf(at.view.graph, inner.view.scope!.holderSlot)
        : reads.filter((read) => read.up === up).map(({ slot }) => slot);
    if (slots.length > 0) levels.push({ at, slots });
    inner = at;
  }
  return levels;
}

function scopeAt(scope: ScopeRef | null, up: number): ScopeRef | null {
  let at = scope;
  for (let left = up; left > 0 && at !== null; left -= 1) at = at.around;
  return at;
}

/** Returns the input of the nearest scope that has one of its own, such as a call of a tool; else the execution's. */
function inputOf(source: ScopeSource, execution: ReadableExecution): Json | Promise<Json> {
  let top = execution;
  for (; top.around !== null || hasOwnInput(top); top = top.around!)
    if (hasOwnInput(top)) return source.values.read('item', top.view.scope!);
  const reading = source.payloads.read(top, top.view, { input: true, slots: [], values: true });
  return next(reading, (found) => found.input?.value ?? null);
}

function hasOwnInput({ view }: ReadableExecution): boolean {
  return view.graph.held?.scope.ownInput === true;
}
