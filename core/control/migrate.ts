/**
 * Moves the view of an execution into another version of its template. Pure: the old view stays as it is.
 *
 * Steps correspond by key, after `map`, and have the same type. What is over keeps its status, output and routes, and the edges
 * of the new graph follow from these. Joins that have fired stay fired; those that have not are decided anew. Steps of the old
 * version that have not begun, and that the new one does not have, go.
 *
 * Invariant 1: after it every edge is resolved exactly when its producer is settled, as after any other plan.
 * Invariant 2: each step and each edge of the two graphs is looked at once.
 */
import { isOver } from '../ending.ts';
import type { Graph, GraphEdge } from '../graph.ts';
import { liveRoute } from '../graph.ts';
import { isUnderWay } from '../hold/held-back.ts';
import { canonicalJson } from '../json/canonical.ts';
import { emptyPlan, type InputRecord, type Plan } from '../plan.ts';
import { createState, decideWaiting, makeReady, resolveEdge, touch } from '../settlement.ts';
import { isFinalStep } from '../status.ts';
import type { ScopeTemplate } from '../template.ts';
import {
  EDGE_LIVE,
  EDGE_OPEN,
  type ExecutionFailure,
  type ExecutionView,
  emptyView,
  resolvesEdges,
  type StepState,
} from '../view.ts';

/** Why an execution cannot move. */
export interface Misfit {
  readonly code:
    | 'no_counterpart'
    | 'other_type'
    | 'open_scopes_differ'
    | 'failure_unhandled'
    | 'webhook_waits';
  /** Key of the step in the old version. */
  readonly step: string;
  readonly message: string;
}

/** What becomes of the rows, besides what the plan writes. */
export interface Migration {
  /** Of the new view: new steps, and joins that are decided anew. */
  readonly plan: Plan;
  /** Steps that go with their rows. */
  readonly dropped: readonly StepState[];
  /** Steps that stay, as they are in the new view, with the slot that they had. */
  readonly moved: readonly { readonly state: StepState; readonly oldSlot: number }[];
  /** Tracked inputs that are there no more, or are something else. */
  readonly lostInputs: readonly { readonly stepId: string; readonly fromStepId: string }[];
  /** Keys of steps that hold scopes, and now have another one: null: they are gone. */
  readonly holders: ReadonlyMap<string, string | null>;
}

/** Keys of the old version by which those of the new one; null: the step is dropped though it is over. */
export type KeyMap = ReadonlyMap<string, string | null>;

/** @returns why the execution cannot move, or how it does */
export function planMigration(
  old: ExecutionView,
  graph: Graph,
  map: KeyMap,
  newId: () => string,
): Migration | readonly Misfit[] {
  const places = placesOf(old, graph, map);
  const misfits = misfitsOf(old, graph, map, places);
  if (misfits.length > 0) return misfits;
  const view = emptyView(old.id, graph);
  const { status, sequence, stopRequested, pause, hasOpenChildren } = old;
  Object.assign(view, { status, sequence, stopRequested, pause, hasOpenChildren });
  const moved: { state: StepState; oldSlot: number }[] = [];
  const dropped: StepState[] = [];
  for (const state of old.steps) {
    if (state === undefined) continue;
    const slot = places.get(state.slot);
    if (slot === undefined) dropped.push(state);
    else moved.push({ state: place(view, state, slot), oldSlot: state.slot });
  }
  view.failure = failureIn(old, view, map);
  const plan = emptyPlan(view);
  if (isUnderWay(old)) decide(view, plan, dropped, newId);
  const kept = moved.filter(({ state }) => view.steps[state.slot] === state);
  const lostInputs = compareInputs(old, plan);
  finish(view, plan);
  plan.looksAgain = isUnderWay(old) && isOver(view);
  return { plan, dropped, moved: kept, lostInputs, holders: holdersOf(old, graph, places) };
}

export function isMisfit(result: Migration | readonly Misfit[]): result is readonly Misfit[] {
  return Array.isArray(result);
}

/** Returns the key that a step has in the new version; null: it is dropped. A key that another step gets is not kept. */
function wantedKey(map: KeyMap, taken: ReadonlySet<string | null>, key: string): string | null {
  const wanted = map.get(key);
  if (wanted !== undefined) return wanted;
  return taken.has(key) ? null : key;
}

/** Returns the slots in the new graph by those in the old one; a step without one goes. */
function placesOf(old: ExecutionView, graph: Graph, map: KeyMap): Map<number, number> {
  const places = new Map<number, number>();
  const taken = new Set(map.values());
  for (const state of old.steps) {
    if (state === undefined || state.slot >= old.graph.size) continue;
    const { key, type } = old.graph.steps[state.slot]!;
    const slot = graph.slots.get(wantedKey(map, taken, key) ?? '');
    if (slot !== undefined && graph.steps[slot]!.type === type) places.set(state.slot, slot);
  }
  const compensations = new Map(graph.compensated.map((slot, at) => [slot, graph.size + at]));
  for (const [at, undone] of old.graph.compensated.entries()) {
    const slot = compensations.get(places.get(undone) ?? -1);
    if (old.steps[old.graph.size + at] !== undefined && slot !== undefined)
      places.set(old.graph.size + at, slot);
  }
  return places;
}

function misfitsOf(
  old: ExecutionView,
  graph: Graph,
  map: KeyMap,
  places: ReadonlyMap<number, number>,
): Misfit[] {
  const misfits: Misfit[] = [];
  for (const state of old.steps) {
    if (state === undefined || state.slot >= old.graph.size) continue;
    const misfit = misfitOf(old, graph, map, { state, slot: places.get(state.slot) });
    if (misfit !== null) misfits.push(misfit);
  }
  return misfits;
}

function misfitOf(
  { graph: before }: ExecutionView,
  graph: Graph,
  map: KeyMap,
  { state, slot }: { readonly state: StepState; readonly slot: number | undefined },
): Misfit | null {
  const { key, type, scopes } = before.steps[state.slot]!;
  const is = `Step ${key} is ${state.status}`;
  if (slot === undefined)
    return isBegun(state) ? withoutCounterpart(is, { key, type }, graph, map, state) : null;
  if (state.held !== null && !fitsInside(state, canonicalJson(scopes), graph, slot, before)) {
    const message = `${is} and holds scopes, and its inner steps are others in the version. Wait until they are over.`;
    return { code: 'open_scopes_differ', step: key, message };
  }
  const isUnhandled = state.status === 'failed' && !graph.handlesFailure[slot];
  if (isUnhandled && (before.handlesFailure[state.slot] || graph.onFailure === 'stop')) {
    const message = `${is}, and nothing handles its failure in the version: the execution would fail.`;
    return { code: 'failure_unhandled', step: key, message };
  }
  if (!movesHook(state, before, graph, slot)) return null;
  const message = `${is}, and URLs of webhook steps name their place among all steps, which is another one in the version.`;
  return { code: 'webhook_waits', step: key, message };
}

/** Returns whether a request to a URL that is known outside would reach another step. */
function movesHook(
  { slot: oldSlot, status, held, position }: StepState,
  before: Graph,
  graph: Graph,
  slot: number,
): boolean {
  const { type, scopes } = before.steps[oldSlot]!;
  if (type === 'webhook') return status === 'waiting' && graph.firstPosition + slot !== position;
  const inner = before.inner[oldSlot]!.map(({ firstPosition }) => firstPosition);
  const now = graph.inner[slot]!.map(({ firstPosition }) => firstPosition);
  return held !== null && held.open > 0 && inner.join() !== now.join() && holdsHook(scopes);
}

function holdsHook(scopes: readonly ScopeTemplate[]): boolean {
  return scopes.some(({ steps }) =>
    steps.some(({ type, scopes: inner }) => type === 'webhook' || holdsHook(inner)),
  );
}

function withoutCounterpart(
  is: string,
  { key, type }: { readonly key: string; readonly type: string },
  graph: Graph,
  map: KeyMap,
  state: StepState,
): Misfit | null {
  const wanted = map.get(key) ?? key;
  const other = graph.slots.get(wanted);
  if (map.get(key) === null) {
    const message = `${is}: only a step that is over is dropped.`;
    return isFinalStep(state.status) ? null : { code: 'no_counterpart', step: key, message };
  }
  if (other === undefined || graph.steps[other]!.type === type) {
    const message = `${is}, and the version has no step for it. Map it to the key that it has there, or to null once it is over.`;
    return { code: 'no_counterpart', step: key, message };
  }
  const message = `${is} and of type ${type}; step ${wanted} of the version is of type ${graph.steps[other]!.type}.`;
  return { code: 'other_type', step: key, message };
}

/** Inner steps may differ once all scopes are over, unless some of them are to be undone one day. */
function fitsInside(
  { held, slot: oldSlot }: StepState,
  scopes: string,
  graph: Graph,
  slot: number,
  before: Graph,
): boolean {
  const mustFit = held!.open > 0 || before.undoneInside.includes(oldSlot);
  return !mustFit || canonicalJson(graph.steps[slot]!.scopes) === scopes;
}

/** Returns whether a step has begun, or is over. */
function isBegun({ status, attempt, parked }: StepState): boolean {
  return status !== 'waiting_inputs' && (status !== 'queued' || attempt > 0 || parked);
}

function place(view: ExecutionView, state: StepState, slot: number): StepState {
  const isDecided = state.status !== 'waiting_inputs';
  const placed = { ...state, slot, position: view.graph.firstPosition + slot, resolved: 0, live: 0 };
  if (isDecided) placed.decidedElsewhere = true;
  view.steps[slot] = placed;
  if (isFinalStep(placed.status) && slot < view.graph.size) view.settledCount += 1;
  return placed;
}

/** Resolves the edges of all steps that are over, then begins and decides what can be. */
function decide(view: ExecutionView, plan: Plan, dropped: StepState[], newId: () => string): void {
  const { graph, steps } = view;
  for (let slot = 0; slot < graph.size; slot += 1) {
    const state = steps[slot];
    if (state === undefined || !resolvesEdges(state.status, state.lost)) continue;
    for (const edge of graph.outgoing[slot]!) resolveEdge(view, plan, state, edge, newId);
  }
  for (let slot = 0; slot < graph.size; slot += 1) {
    const state = steps[slot];
    const isRoot = graph.incoming[slot]!.length === 0;
    if (isRoot && state === undefined) makeReady(plan, createState(view, plan, slot, newId), []);
    else if (state?.status !== 'waiting_inputs') continue;
    else if (isRoot) {
      touch(plan, state);
      makeReady(plan, state, []);
    } else if (state.resolved === 0) {
      // Its row comes again with the first edge.
      steps[slot] = undefined;
      dropped.push(state);
    }
  }
  decideWaiting(view, plan, newId);
}

/** Leaves in the plan only the inputs that are new. Returns those that are not what they were. */
function compareInputs(old: ExecutionView, plan: Plan): Migration['lostInputs'] {
  const before = new Map<string, { stepId: string; fromStepId: string; told: string }>();
  for (const edge of old.graph.edges) {
    if (old.edges[edge.id] === EDGE_OPEN) continue;
    const stepId = old.steps[edge.to]!.id;
    const fromStepId = old.steps[edge.from]!.id;
    before.set(`${fromStepId} ${stepId}`, { stepId, fromStepId, told: told(old, edge) });
  }
  const fresh: InputRecord[] = [];
  for (const input of plan.inputs) {
    const name = `${input.producer.id} ${input.target.id}`;
    if (before.get(name)?.told === `${input.live} ${input.route}`) before.delete(name);
    else fresh.push(input);
  }
  plan.inputs.length = 0;
  for (const input of fresh) plan.inputs.push(input);
  return [...before.values()].map(({ stepId, fromStepId }) => ({ stepId, fromStepId }));
}

function told({ edges, steps }: ExecutionView, edge: GraphEdge): string {
  const live = edges[edge.id] === EDGE_LIVE;
  return `${live} ${live ? liveRoute(edge, steps[edge.from]!.routes) : null}`;
}

function finish(view: ExecutionView, plan: Plan): void {
  plan.changed = true;
  view.sequence += 1;
  plan.ready = [...new Set(plan.ready)].filter((slot) => view.steps[slot]!.status === 'queued');
  plan.ready.sort((a, b) => view.graph.rank[a]! - view.graph.rank[b]!);
}

/** The failure with which the execution is going to end, if the step is still there and nothing handles its failure. */
function failureIn(old: ExecutionView, view: ExecutionView, map: KeyMap): ExecutionFailure | null {
  if (old.failure === null) return null;
  const left = view.steps.filter(
    (state) =>
      state?.status === 'failed' && state.slot < view.graph.size && !view.graph.handlesFailure[state.slot],
  );
  if (left.length === 0) return null;
  const { step } = old.failure;
  const now = step === null ? null : map.has(step) ? map.get(step)! : step;
  const keys = left.map((state) => view.graph.steps[state!.slot]!.key);
  if (now !== null && keys.includes(now)) return { ...old.failure, step: now };
  return { code: 'failure_left', message: `The step ${keys[0]} had failed.`, step: keys[0]! };
}

/** Returns what becomes of the keys of steps that hold scopes. */
function holdersOf(
  { graph: before, steps }: ExecutionView,
  graph: Graph,
  places: ReadonlyMap<number, number>,
): Map<string, string | null> {
  const holders = new Map<string, string | null>();
  for (const state of steps) {
    if (state === undefined || state.held === null) continue;
    const slot = places.get(state.slot);
    holders.set(before.steps[state.slot]!.key, slot === undefined ? null : graph.steps[slot]!.key);
  }
  return holders;
}
