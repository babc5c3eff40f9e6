/**
 * The data that compiled expressions read: the steps they name, each in the nearest scope that has one of that key, and
 * the names that scopes give a value.
 */
import { type Graph, graphAt } from '../core/graph.ts';
import type { HookRead } from '../core/hooks/hook-urls.ts';
import type { CompiledValue } from '../expression/compiled.ts';
import type { DataReads, NameRead, OuterRead } from '../expression/data-reads.ts';

/** A graph, and the graphs of the scopes around it, the nearest first. */
export type Surroundings = readonly Graph[];

/** @param graphs `allGraphs` of the template */
export function surroundingsOf(graph: Graph, graphs: readonly Graph[]): Surroundings {
  const surroundings = [graph];
  for (let { held } = graph; held !== null; held = surroundings.at(-1)!.held) {
    surroundings.push(graphAt(graphs, held.holder));
  }
  return surroundings;
}

const NONE: readonly never[] = Object.freeze([]);

export function readsOf(values: readonly CompiledValue[], surroundings: Surroundings): DataReads {
  const isDynamic = values.some((value) => value.dynamicSteps);
  const keys = new Set(values.flatMap((value) => value.stepReferences.map(({ key }) => key)));
  const named = [...keys].flatMap((key) => findStep(key, surroundings) ?? []);
  const outer = named.filter(({ up }) => up > 0);
  return {
    reads: isDynamic ? null : named.filter(({ up }) => up === 0).map(({ slot }) => slot),
    outerReads: isDynamic && surroundings.length > 1 ? null : shared(outer),
    nameReads: shared(namesOf(values, surroundings)),
    usesInput: values.some((value) => value.roots.has('input')),
    usesInputs: values.some((value) => value.roots.has('inputs')),
    hooks: values.some((value) => value.roots.has('execution')) ? hooksIn(surroundings) : NONE,
  };
}

const HOOK_TYPE = 'webhook';

/** Of several steps with one key the nearest is meant. */
function hooksIn(surroundings: Surroundings): readonly HookRead[] {
  const hooks = new Map<string, HookRead>();
  for (const [up, { steps, firstPosition }] of surroundings.entries()) {
    for (const [slot, { key, type }] of steps.entries()) {
      if (type === HOOK_TYPE && !hooks.has(key)) hooks.set(key, { key, position: firstPosition + slot, up });
    }
  }
  return shared([...hooks.values()]);
}

function shared<T>(list: readonly T[]): readonly T[] {
  return list.length === 0 ? NONE : list;
}

function findStep(key: string, surroundings: Surroundings): OuterRead | null {
  const up = surroundings.findIndex(({ slots }) => slots.has(key));
  return up === -1 ? null : { up, slot: surroundings[up]!.slots.get(key)! };
}

/** A name that no scope gives is one of the runs that the step itself makes, and left out. */
function namesOf(values: readonly CompiledValue[], surroundings: Surroundings): NameRead[] {
  if (surroundings.length === 1) return [];
  const names = new Set(values.flatMap((value) => value.nameReferences.map(({ name }) => name)));
  return [...names].flatMap((name) => {
    const up = surroundings.findIndex(({ held }) => held?.scope.names.includes(name));
    return up === -1 ? [] : { name, up };
  });
}
