/**
 * Checks that the steps and routes in `needs` exist, and makes the edges of those that do.
 *
 * An entry with an unknown name is reported once and then counts as an edge that may be live.
 */

import type { EdgeCondition } from '../../core/template.ts';
import { listNames, type ProblemList, quote } from '../problem-list.ts';
import type { Need, StepDraft } from '../step-draft.ts';

/** An edge between two steps that exist, with the conditions that can hold. */
export interface DraftEdge {
  /** Position of the producer. */
  readonly from: number;
  /** Without the routes that the producer does not declare; empty: never live. */
  readonly conditions: readonly EdgeCondition[];
}

export interface DraftEdges {
  /** Incoming edges by position. */
  readonly incoming: readonly (readonly DraftEdge[])[];
  /** By position: entries that name no step, or the step itself. */
  readonly unresolved: readonly number[];
  /** By position: declared routes; null when the type has none or they are not known. */
  readonly routes: readonly (readonly string[] | null)[];
}

/** @param sound by position: whether the parameters of the step can be trusted to name its routes */
export function resolveEdges(
  drafts: readonly StepDraft[],
  sound: readonly boolean[],
  errors: ProblemList,
  warnings: ProblemList,
): DraftEdges {
  const positions = new Map(drafts.map(({ step }, position) => [step.key, position]));
  const routes = drafts.map((draft, position) => (sound[position] ? declaredRoutes(draft) : null));
  const unresolved: number[] = [];
  const incoming = drafts.map((draft, position) => {
    const found = draft.needs.entries.flatMap((need) =>
      resolve(need, position, { drafts, positions, routes, errors }),
    );
    unresolved.push(draft.needs.entries.length - found.length + (draft.needs.complete ? 0 : 1));
    return merge(found);
  });
  warnUnusedRoutes(drafts, routes, warnings);
  return { incoming, unresolved, routes };
}

/** The routes a step can take; null when its type has none, or when they are not known. */
export function declaredRoutes({ type, step }: StepDraft): readonly string[] | null {
  if (type?.routes === undefined) return null;
  try {
    return type.routes(step.with ?? {});
  } catch {
    // An operator's type threw on its parameters. Nothing is known then, so nothing is reported.
    return null;
  }
}

interface Lookup {
  readonly drafts: readonly StepDraft[];
  readonly positions: ReadonlyMap<string, number>;
  readonly routes: readonly (readonly string[] | null)[];
  readonly errors: ProblemList;
}

/** Empty when the entry names no other step. */
function resolve(need: Need, position: number, lookup: Lookup): DraftEdge[] {
  const { positions, errors } = lookup;
  const from = positions.get(need.from);
  if (from === undefined) {
    const hint = errors.suggest(need.from, positions.keys());
    const message = `There is no step ${quote(need.from)}.${hint} "needs" names the keys of other steps.`;
    errors.add(need.pointer, 'unknown_need', message);
    return [];
  }
  if (from === position) {
    errors.add(need.pointer, 'self_need', `The step ${quote(need.from)} needs itself; remove this entry.`);
    return [];
  }
  const condition = possible(need, from, lookup);
  return [{ from, conditions: condition === null ? [] : [condition] }];
}

/** The condition with its known routes; null when no route of it exists. */
function possible({ condition, pointer }: Need, from: number, lookup: Lookup): EdgeCondition | null {
  if (condition.routes === null) return condition;
  const producer = lookup.drafts[from]!;
  const { key } = producer.step;
  if (producer.type !== null && producer.type.routes === undefined) {
    const message = `The step "${key}" is of type "${producer.type.type}", which takes no routes; remove "route".`;
    lookup.errors.add(`${pointer}/route`, 'route_not_allowed', message);
    return { on: 'success', routes: null };
  }
  const declared = lookup.routes[from];
  if (declared === null || declared === undefined) return { on: 'success', routes: null };
  const known = condition.routes.filter((route) => isDeclared(route, declared, key, pointer, lookup.errors));
  return known.length === 0 ? null : { on: 'success', routes: known };
}

function isDeclared(
  route: string,
  declared: readonly string[],
  key: string,
  pointer: string,
  errors: ProblemList,
): boolean {
  if (declared.includes(route)) return true;
  const named = declared.length === 0 ? 'It declares none.' : `It declares ${listNames(declared)}.`;
  const message = `The step "${key}" has no route ${quote(route)}.${errors.suggest(route, declared)} ${named}`;
  errors.add(`${pointer}/route`, 'unknown_route', message);
  return false;
}

/** Entries that name the same step are one edge. */
function merge(edges: readonly DraftEdge[]): DraftEdge[] {
  const merged = new Map<number, EdgeCondition[]>();
  for (const { from, conditions } of edges) {
    const known = merged.get(from);
    if (known === undefined) merged.set(from, [...conditions]);
    else known.push(...conditions);
  }
  return Array.from(merged, ([from, conditions]) => ({ from, conditions }));
}

function warnUnusedRoutes(
  drafts: readonly StepDraft[],
  routes: readonly (readonly string[] | null)[],
  warnings: ProblemList,
): void {
  const used = usedRoutes(drafts);
  for (const [position, declared] of routes.entries()) {
    const { step, pointer } = drafts[position]!;
    const unused = (declared ?? []).filter((route) => !used.get(step.key)?.has(route));
    if (unused.length === 0) continue;
    const what =
      unused.length === 1 ? `The route ${quote(unused[0]!)} leads` : `The routes ${listNames(unused)} lead`;
    const message = `${what} nowhere: no step needs { step: ${step.key}, route: ${unused[0]} }.`;
    warnings.add(`${pointer}/with`, 'unused_route', message);
  }
}

function usedRoutes(drafts: readonly StepDraft[]): Map<string, Set<string>> {
  const used = new Map<string, Set<string>>();
  for (const { needs } of drafts) {
    for (const { from, condition } of needs.entries) {
      const routes = used.get(from) ?? new Set();
      for (const route of condition.routes ?? []) routes.add(route);
      used.set(from, routes);
    }
  }
  return used;
}
