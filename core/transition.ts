/**
 * The decision: what an execution becomes when events reach it. Here and nowhere else.
 *
 * `transition(view, events)` changes the view and answers the plan of what to write. It reads no clock,
 * draws no random number and does no I/O; ids of new rows come from the `newId` it is given.
 *
 * Invariant 1: every edge is resolved at most once, and a join fires or is skipped at most once.
 * Invariant 2: nothing leaves a final status.
 * Invariant 3: an execution that ends has a state for every step, and all of them are final.
 */
import type { Claim, Event, StepError } from './event.ts';
import { isLive, liveRoute } from './graph.ts';
import { decideJoin } from './join.ts';
import { type ExecutionEnd, emptyPlan, type Plan, type ReceivedInput, type StepChange } from './plan.ts';
import { retryDelayMs } from './retry.ts';
import { isFinalExecution, isFinalStep, type StepStatus } from './status.ts';
import {
  EDGE_DEAD,
  EDGE_LIVE,
  EDGE_OPEN,
  type ExecutionFailure,
  type ExecutionView,
  type StepState,
} from './view.ts';

export function transition(view: ExecutionView, events: readonly Event[], newId: () => string): Plan {
  const plan = emptyPlan(view);
  for (const event of events) {
    const accepted = !isFinalExecution(view.status) && apply(view, plan, event, newId);
    if (!accepted) plan.late.push(event);
    else plan.changed = true;
    if (accepted) endWhenOver(view, plan, newId);
  }
  if (plan.changed) view.sequence += 1;
  const { rank } = view.graph;
  plan.ready = [...new Set(plan.ready)].filter((position) => view.steps[position]!.status === 'queued');
  plan.ready.sort((a, b) => rank[a]! - rank[b]!);
  return plan;
}

/**
 * Claims a step that is queued within a plan that is not yet written, so that a step made ready and its
 * claim are one commit. Answers false when the step is not to be had.
 */
export function claimWithin(plan: Plan, position: number, owner: string): boolean {
  const wasChanged = plan.changed;
  if (!claim(plan.view, plan, position, owner)) return false;
  if (!wasChanged) plan.view.sequence += 1;
  plan.changed = true;
  plan.ready = plan.ready.filter((ready) => ready !== position);
  return true;
}

/** Answers whether the event changed anything; false: it is late. */
function apply(view: ExecutionView, plan: Plan, event: Event, newId: () => string): boolean {
  switch (event.type) {
    case 'begin':
      return begin(view, plan, newId);
    case 'claim':
      return claim(view, plan, event.position, event.owner);
    case 'complete':
      return complete(view, plan, event, newId);
    case 'fail':
      return fail(view, plan, event, newId);
    case 'skip':
      return skip(view, plan, event.position, event.claim, newId);
    case 'park':
      return park(view, plan, event);
    case 'wake':
      return wake(view, plan, event, newId);
    case 'release':
    case 'rescue':
      return giveBack(view, plan, event);
    case 'stop':
      return stop(view, plan, event.reason, newId);
    case 'stop_overdue':
      return view.stopRequested !== null && endStopped(view, plan, newId);
    case 'cancel':
      return end(view, plan, { status: 'cancelled', error: cancelledError(event.reason) }, newId);
    case 'time_out':
      return end(view, plan, { status: 'timed_out', error: timedOutError() }, newId);
    case 'reject':
      return reject(view, plan, event, newId);
  }
}

function begin(view: ExecutionView, plan: Plan, newId: () => string): boolean {
  if (view.status !== 'pending') return false;
  view.status = 'running';
  plan.begun = true;
  for (const position of view.graph.roots) {
    const state = createState(view, plan, position, newId);
    makeReady(plan, state, []);
  }
  return true;
}

function claim(view: ExecutionView, plan: Plan, position: number, owner: string): boolean {
  const state = view.steps[position];
  if (view.status !== 'running' || view.stopRequested !== null || state?.status !== 'queued') return false;
  const change = touch(plan, state);
  if (!state.parked) state.attempt += 1;
  state.status = 'running';
  state.owner = owner;
  change.claimed = true;
  return true;
}

function complete(
  view: ExecutionView,
  plan: Plan,
  event: Extract<Event, { type: 'complete' }>,
  newId: () => string,
): boolean {
  const state = held(view, event.position, event.claim);
  if (state === null) return false;
  const change = touch(plan, state);
  change.output = event.output;
  state.routes = event.routes;
  settle(view, plan, state, 'completed');
  propagate(view, plan, state, newId);
  return true;
}

function fail(
  view: ExecutionView,
  plan: Plan,
  event: Extract<Event, { type: 'fail' }>,
  newId: () => string,
): boolean {
  const state = held(view, event.position, event.claim);
  if (state === null) return false;
  touch(plan, state);
  if (!event.begun && !state.parked) state.attempt -= 1;
  failAttempt(view, plan, state, event, event.random, newId);
  return true;
}

/** A failed attempt: tried again, or the step's end with what follows from it. */
function failAttempt(
  view: ExecutionView,
  plan: Plan,
  state: StepState,
  failure: { error: StepError; retryable: boolean; retryAfterMs: number | null },
  random: number,
  newId: () => string,
): void {
  const change = touch(plan, state);
  change.error = failure.error;
  const policy = view.graph.steps[state.position]!.retry;
  const delay = view.stopRequested !== null ? null : retryDelayMs(policy, state.retries, failure, random);
  state.parked = false;
  if (delay !== null) {
    leaveProcess(state, 'retrying');
    state.retries += 1;
    change.timer = { afterMs: delay, purpose: 'resume' };
    return;
  }
  settle(view, plan, state, 'failed');
  if (!view.graph.handlesFailure[state.position]) {
    const { code, message } = failure.error;
    view.failure ??= { code, message, step: view.graph.steps[state.position]!.key };
    if (view.graph.onFailure === 'stop' && view.stopRequested === null) {
      end(view, plan, { status: 'failed', error: view.failure }, newId);
    }
  }
  propagate(view, plan, state, newId);
}

function skip(view: ExecutionView, plan: Plan, position: number, token: Claim, newId: () => string): boolean {
  const state = held(view, position, token);
  if (state === null) return false;
  touch(plan, state);
  state.attempt -= 1;
  settle(view, plan, state, 'skipped');
  propagate(view, plan, state, newId);
  return true;
}

function park(view: ExecutionView, plan: Plan, event: Extract<Event, { type: 'park' }>): boolean {
  const state = held(view, event.position, event.claim);
  if (state === null) return false;
  const change = touch(plan, state);
  if (view.stopRequested !== null) {
    settle(view, plan, state, 'cancelled');
    return true;
  }
  leaveProcess(state, 'waiting');
  state.parked = true;
  change.parkedState = event.state;
  change.timer = { afterMs: event.forMs, purpose: event.purpose };
  return true;
}

function wake(
  view: ExecutionView,
  plan: Plan,
  event: Extract<Event, { type: 'wake' }>,
  newId: () => string,
): boolean {
  const state = view.steps[event.position];
  // The timeout of an attempt is over once: what retries after it is waiting for its delay alone.
  const due = state?.status === 'waiting' || (state?.status === 'retrying' && event.purpose === 'resume');
  if (state === undefined || !due || state.attempt !== event.attempt) return false;
  touch(plan, state);
  if (event.purpose === 'resume') {
    makeReady(plan, state, null);
    return true;
  }
  const error = { code: 'timeout', message: 'The step did not finish within its timeout.', details: null };
  failAttempt(view, plan, state, { error, retryable: true, retryAfterMs: null }, event.random, newId);
  return true;
}

function giveBack(
  view: ExecutionView,
  plan: Plan,
  event: Extract<Event, { type: 'release' | 'rescue' }>,
): boolean {
  const state = held(view, event.position, event.claim);
  if (state === null) return false;
  touch(plan, state);
  if (event.type === 'release' && !state.parked) state.attempt -= 1;
  if (view.stopRequested !== null) {
    settle(view, plan, state, 'cancelled');
    return true;
  }
  // The next claim goes on from where the step was parked, which counts no attempt; the lost one does.
  if (event.type === 'rescue' && state.parked) state.attempt += 1;
  makeReady(plan, state, null);
  return true;
}

function stop(view: ExecutionView, plan: Plan, reason: string | null, newId: () => string): boolean {
  if (view.stopRequested !== null) return false;
  view.stopRequested = { reason };
  plan.stopping = true;
  cancelUnsettled(view, plan, (state) => state.status !== 'running', newId);
  for (const state of view.steps) if (state?.status === 'running') plan.aborted.push(state);
  return true;
}

function reject(
  view: ExecutionView,
  plan: Plan,
  { code, message }: Extract<Event, { type: 'reject' }>,
  newId: () => string,
): boolean {
  if (view.status !== 'pending') return false;
  return end(view, plan, { status: 'failed', error: { code, message, step: null } }, newId);
}

/** The state that the claim still holds; null: late. */
function held(view: ExecutionView, position: number, token: Claim): StepState | null {
  const state = view.steps[position];
  if (state?.status !== 'running') return null;
  return state.attempt === token.attempt && state.owner === token.owner ? state : null;
}

function createState(view: ExecutionView, plan: Plan, position: number, newId: () => string): StepState {
  const state: StepState = {
    id: newId(),
    position,
    status: 'waiting_inputs',
    attempt: 0,
    retries: 0,
    owner: null,
    parked: false,
    resolved: 0,
    live: 0,
    routes: null,
  };
  view.steps[position] = state;
  plan.steps.set(position, newChange(state, null));
  return state;
}

function touch(plan: Plan, state: StepState): StepChange {
  const known = plan.steps.get(state.position);
  if (known !== undefined) return known;
  const { status, attempt, owner } = state;
  const change = newChange(state, { status, attempt, owner });
  plan.steps.set(state.position, change);
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
    claimed: false,
  };
}

function makeReady(plan: Plan, state: StepState, received: readonly ReceivedInput[] | null): void {
  state.status = 'queued';
  state.owner = null;
  plan.ready.push(state.position);
  const change = plan.steps.get(state.position)!;
  change.timer = null;
  if (received !== null) change.received = received;
}

function leaveProcess(state: StepState, status: 'waiting' | 'retrying'): void {
  state.status = status;
  state.owner = null;
}

function settle(view: ExecutionView, plan: Plan, state: StepState, status: StepStatus): void {
  state.status = status;
  state.owner = null;
  view.settledCount += 1;
  plan.steps.get(state.position)!.timer = null;
}

/**
 * Resolves the edges of a settled step, and of every step that is skipped through it. After a stop or an
 * end the targets are settled already: their edges are recorded, as a retry needs them, and decide nothing.
 */
function propagate(view: ExecutionView, plan: Plan, first: StepState, newId: () => string): void {
  const settled = [first];
  for (const producer of settled) {
    const status = producer.status as 'completed' | 'failed' | 'skipped';
    for (const edge of view.graph.outgoing[producer.position]!) {
      if (view.edges[edge.id] !== EDGE_OPEN) continue;
      const live = isLive(edge, status, producer.routes);
      const target = view.steps[edge.to] ?? createState(view, plan, edge.to, newId);
      view.edges[edge.id] = live ? EDGE_LIVE : EDGE_DEAD;
      target.resolved += 1;
      if (live) target.live += 1;
      plan.inputs.push({
        edge: edge.id,
        target,
        producer,
        live,
        route: live ? liveRoute(edge, producer.routes) : null,
      });
      if (target.status === 'waiting_inputs' && decide(view, plan, target)) settled.push(target);
    }
  }
}

/** Decides a waiting join; answers whether the step was skipped. */
function decide(view: ExecutionView, plan: Plan, target: StepState): boolean {
  const { position } = target;
  const edges = view.graph.incoming[position]!.length;
  const decision = decideJoin(view.graph.steps[position]!.join, edges, target.resolved, target.live);
  if (decision === 'wait') return false;
  const change = touch(plan, target);
  const received = receivedInputs(view, position);
  if (decision === 'fire') {
    makeReady(plan, target, received);
    return false;
  }
  change.received = received;
  settle(view, plan, target, 'skipped');
  return true;
}

function receivedInputs(view: ExecutionView, position: number): ReceivedInput[] {
  const received: ReceivedInput[] = [];
  for (const edge of view.graph.incoming[position]!) {
    const resolved = view.edges[edge.id];
    if (resolved === EDGE_OPEN) continue;
    const live = resolved === EDGE_LIVE;
    const routes = view.steps[edge.from]!.routes;
    received.push({
      key: view.graph.steps[edge.from]!.key,
      live,
      route: live ? liveRoute(edge, routes) : null,
    });
  }
  return received;
}

function endWhenOver(view: ExecutionView, plan: Plan, newId: () => string): void {
  if (plan.end !== null) return;
  if (view.stopRequested !== null) {
    if (!view.steps.some((state) => state?.status === 'running')) endStopped(view, plan, newId);
    return;
  }
  if (view.settledCount < view.graph.size) return;
  const status = view.failure === null ? 'completed' : 'failed';
  end(view, plan, { status, error: view.failure }, newId);
}

function endStopped(view: ExecutionView, plan: Plan, newId: () => string): true {
  return end(
    view,
    plan,
    { status: 'cancelled', error: cancelledError(view.stopRequested?.reason ?? null) },
    newId,
  );
}

/** Ends the execution: what is not settled is cancelled, what runs is aborted. */
function end(view: ExecutionView, plan: Plan, how: ExecutionEnd, newId: () => string): true {
  cancelUnsettled(view, plan, () => true, newId);
  view.status = how.status;
  plan.end = how;
  return true;
}

function cancelUnsettled(
  view: ExecutionView,
  plan: Plan,
  which: (state: StepState) => boolean,
  newId: () => string,
): void {
  if (view.settledCount === view.graph.size) return;
  for (let position = 0; position < view.graph.size; position++) {
    const state = view.steps[position] ?? createState(view, plan, position, newId);
    if (isFinalStep(state.status) || !which(state)) continue;
    touch(plan, state);
    if (state.status === 'running') plan.aborted.push(state);
    settle(view, plan, state, 'cancelled');
  }
}

function cancelledError(reason: string | null): ExecutionFailure {
  return { code: 'cancelled', message: reason ?? 'The execution was cancelled.', step: null };
}

function timedOutError(): ExecutionFailure {
  return { code: 'timed_out', message: 'The execution did not finish within its timeout.', step: null };
}
