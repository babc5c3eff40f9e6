/**
 * The effects of a transition on steps: their states, the edges they resolve, the joins those decide.
 *
 * Only transition.ts and ending.ts call this.
 */
import { type GraphEdge, isLive, liveRoute, type ReceivedInput, type ResolvingStatus } from './graph.ts';
import { decideJoin, type JoinDecision } from './join.ts';
import { type Plan, type StepChange, type StepTimer, scopeChanges } from './plan.ts';
import { losersOf } from './races/losers.ts';
import { areOver, countCancelled, openScopes, takeBack } from './scopes/held-scopes.ts';
import type { StepStatus } from './status.ts';
import { EDGE_DEAD, EDGE_LIVE, EDGE_OPEN, type ExecutionView, type StepState } from './view.ts';

export function createState(view: ExecutionView, plan: Plan, slot: number, newId: () => string): StepState {
  const state: StepState = {
    id: newId(),
    slot,
    position: view.graph.firstPosition + slot,
    status: 'waiting_inputs',
    attempt: 0,
    retries: 0,
    crashes: 0,
    owner: null,
    sequence: plan.fromSequence + 1,
    parked: false,
    hasDeadline: false,
    hasTimer: false,
    resolved: 0,
    live: 0,
    routes: null,
    lost: false,
    resets: 0,
    keyNumber: 0,
    byHand: false,
    decidedElsewhere: false,
    held: null,
  };
  view.steps[slot] = state;
  plan.steps.set(slot, newChange(state, null));
  return state;
}

export function touch(plan: Plan, state: StepState): StepChange {
  const known = plan.steps.get(state.slot);
  if (known !== undefined) return known;
  const { status, attempt, owner, hasDeadline, hasTimer } = state;
  const change = newChange(state, { status, attempt, owner, hasDeadline, hasTimer });
  state.sequence = plan.fromSequence + 1;
  plan.steps.set(state.slot, change);
  return change;
}

function newChange(state: StepState, from: StepChange['from']): StepChange {
  return {
    state,
    from,
    received: null,
    output: null,
    error: null,
    timer: null,
    parkedState: null,
    deadlineMs: null,
    waitingFor: null,
    answerId: null,
    usedSignal: null,
    task: null,
    incident: null,
    endedChild: null,
    claimed: false,
    control: null,
  };
}

export function makeReady(plan: Plan, state: StepState, received: readonly ReceivedInput[] | null): void {
  state.status = 'queued';
  state.owner = null;
  state.hasTimer = false;
  plan.ready.push(state.slot);
  const change = plan.steps.get(state.slot)!;
  change.timer = null;
  if (received !== null) change.received = received;
}

/** Takes the step from the process that runs it. @param timer wakes it; null: no timer does */
export function leaveProcess(
  { state, change }: { readonly state: StepState; readonly change: StepChange },
  status: 'waiting' | 'retrying',
  timer: StepTimer | null,
): void {
  state.status = status;
  state.owner = null;
  state.hasTimer = timer !== null;
  change.timer = timer;
}

/** @param openScopes `leave`: they have time to end (ending.ts) */
export function settle(
  view: ExecutionView,
  plan: Plan,
  state: StepState,
  status: StepStatus,
  openScopes: 'cancel' | 'leave' = 'cancel',
): void {
  state.status = status;
  state.owner = null;
  state.hasDeadline = false;
  state.hasTimer = false;
  if (state.slot < view.graph.size) view.settledCount += 1;
  const change = plan.steps.get(state.slot)!;
  change.timer = null;
  change.deadlineMs = null;
  if (openScopes === 'cancel' && holdsOpen(state)) cancelScopes(plan, state);
}

/** Returns whether scopes of the step are open. */
export function holdsOpen({ held }: StepState): boolean {
  return held !== null && held.open > 0;
}

/** Opens as many scopes of a waiting step as may be open: none while it is paused. When all are over, the step goes on. */
export function goOnWithScopes(plan: Plan, state: StepState): void {
  const { slot } = state;
  const held = state.held!;
  const { opened, counted } = scopeChanges(plan);
  counted.add(slot);
  const { next } = held;
  const indexes = plan.view.status === 'paused' ? [] : openScopes(held);
  for (const index of indexes) opened.push({ slot, index, run: held.run, isNew: index >= next });
  if (!areOver(held)) return;
  touch(plan, state);
  makeReady(plan, state, null);
}

/** Cancels the open scopes of a step, with everything below them. */
export function cancelScopes(plan: Plan, state: StepState): void {
  takeBackScopes(plan, state);
  countCancelled(state.held!, state.held!.open);
  scopeChanges(plan).endedBelow.set(state.slot, 'cancel');
}

/** Asks the open scopes of a step to stop: steps that run in them have time to end, all else is cancelled. */
export function stopScopes(plan: Plan, state: StepState): void {
  takeBackScopes(plan, state);
  if (holdsOpen(state)) scopeChanges(plan).endedBelow.set(state.slot, 'stop');
}

/** Undoes scopes of a step, which are over. */
export function undoScopes(plan: Plan, { slot }: StepState, indexes: readonly number[]): void {
  const { undone, counted } = scopeChanges(plan);
  counted.add(slot);
  for (const index of indexes) undone.push({ slot, index });
}

/** Takes back the scopes of a step that this very plan has opened. */
function takeBackScopes(plan: Plan, { slot, held }: StepState): void {
  const changes = scopeChanges(plan);
  const own = changes.opened.filter((scope) => scope.slot === slot);
  changes.opened = changes.opened.filter((scope) => scope.slot !== slot);
  changes.counted.add(slot);
  takeBack(held!, own);
}

/**
 * Resolves the edges of a settled step, and of every step that is skipped or loses a race through it. After a stop or an
 * end the targets are settled already: their edges are recorded, as a retry needs them, but no join is decided.
 */
export function propagate(view: ExecutionView, plan: Plan, first: StepState, newId: () => string): void {
  const fired = resolveEdges(view, plan, [first], newId);
  cancelLosers(view, plan, fired, newId);
}

/** Returns the joins that fired and cancel losers, by slot. */
function resolveEdges(
  view: ExecutionView,
  plan: Plan,
  settled: StepState[],
  newId: () => string,
): readonly number[] {
  let fired = NONE;
  for (const producer of settled) {
    for (const edge of view.graph.outgoing[producer.slot]!) {
      const target = resolveEdge(view, plan, producer, edge, newId);
      if (target?.status !== 'waiting_inputs') continue;
      const decision = decide(view, plan, target);
      if (decision === 'skip') settled.push(target);
      if (decision === 'fire' && view.graph.steps[edge.to]!.cancelsLosers) fired = [...fired, edge.to];
    }
  }
  return fired;
}

/** Resolves an edge of a settled step. Returns the step that it leads to; null: it was resolved before. */
export function resolveEdge(
  view: ExecutionView,
  plan: Plan,
  producer: StepState,
  edge: GraphEdge,
  newId: () => string,
): StepState | null {
  if (view.edges[edge.id] !== EDGE_OPEN) return null;
  const live = isLive(edge, producer.status as ResolvingStatus, producer.routes);
  const target = view.steps[edge.to] ?? createState(view, plan, edge.to, newId);
  view.edges[edge.id] = live ? EDGE_LIVE : EDGE_DEAD;
  target.resolved += 1;
  if (live) target.live += 1;
  const route = live ? liveRoute(edge, producer.routes) : null;
  plan.inputs.push({ edge: edge.id, target, producer, live, route });
  return target;
}

/** Resolves all edges of settled steps, and then decides the joins behind them: each sees all inputs that are there. */
export function resolveAll(
  view: ExecutionView,
  plan: Plan,
  producers: readonly StepState[],
  newId: () => string,
): void {
  for (const producer of producers)
    for (const edge of view.graph.outgoing[producer.slot]!) resolveEdge(view, plan, producer, edge, newId);
  decideWaiting(view, plan, newId);
}

const NONE: readonly number[] = Object.freeze([]);

/** Decides every waiting join whose edges already determine its result. */
export function decideWaiting(view: ExecutionView, plan: Plan, newId: () => string): void {
  for (const state of view.steps) {
    if (state?.status !== 'waiting_inputs') continue;
    const decision = decide(view, plan, state);
    if (decision === 'skip') propagate(view, plan, state, newId);
    else if (decision === 'fire' && view.graph.steps[state.slot]!.cancelsLosers)
      cancelLosers(view, plan, [state.slot], newId);
  }
}

/** Decides a waiting join. */
function decide(view: ExecutionView, plan: Plan, target: StepState): JoinDecision {
  const { slot } = target;
  const edges = view.graph.incoming[slot]!.length;
  const decision = decideJoin(view.graph.steps[slot]!.join, edges, target.resolved, target.live);
  if (decision === 'wait') return decision;
  const change = touch(plan, target);
  const received = receivedInputs(view, slot);
  if (decision === 'fire') makeReady(plan, target, received);
  else {
    change.received = received;
    settle(view, plan, target, 'skipped');
  }
  return decision;
}

/** Ends the losers of joins that have fired; the dead path of this commit has been followed to its end before. */
function cancelLosers(view: ExecutionView, plan: Plan, joins: readonly number[], newId: () => string): void {
  if (joins.length === 0) return;
  const losers = losersOf(view, joins).map(
    (slot) => view.steps[slot] ?? createState(view, plan, slot, newId),
  );
  for (const state of losers) {
    touch(plan, state);
    if (state.status === 'running') plan.aborted.push(state);
    settle(view, plan, state, 'cancelled');
    state.lost = true;
  }
  resolveEdges(view, plan, losers, newId);
}

/** Returns the resolved edges of a step, as its `received_inputs` has them. */
export function receivedInputs(view: ExecutionView, slot: number): ReceivedInput[] {
  const received: ReceivedInput[] = [];
  for (const edge of view.graph.incoming[slot]!) {
    const resolved = view.edges[edge.id];
    if (resolved === EDGE_OPEN) continue;
    if (resolved === EDGE_DEAD) {
      received.push(edge.whenDead);
      continue;
    }
    const route = liveRoute(edge, view.steps[edge.from]!.routes);
    received.push(route === null ? edge.whenLive : { ...edge.whenLive, route });
  }
  return received;
}
