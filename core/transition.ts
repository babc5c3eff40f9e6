/**
 * Decides what an execution becomes when events reach it. The only place where this is decided.
 *
 * `transition(view, events)` changes the view and returns the plan of what to write. It reads no clock,
 * draws no random number and does no I/O; ids of new rows come from the `newId` it is given.
 *
 * Invariant 1: every edge is resolved at most once, and a join fires or is skipped at most once.
 * Invariant 2: nothing leaves a final status.
 * Invariant 3: an execution that ends has a state for every step, and all of them are final.
 */
import {
  cancelledError,
  cancelUnsettled,
  end,
  endStopped,
  endWhenOver,
  isOver,
  timedOutError,
} from './ending.ts';
import type { Claim, Event, StepError } from './event.ts';
import { emptyPlan, type Plan } from './plan.ts';
import { retryDelayMs } from './retry.ts';
import {
  createState,
  decideWaiting,
  leaveProcess,
  makeReady,
  propagate,
  settle,
  touch,
} from './settlement.ts';
import { isFinalExecution } from './status.ts';
import type { ExecutionView, StepState } from './view.ts';

export function transition(view: ExecutionView, events: readonly Event[], newId: () => string): Plan {
  const plan = emptyPlan(view);
  for (const event of events) {
    const accepted = !isFinalExecution(view.status) && apply(view, plan, event, newId);
    if (!accepted) plan.late.push(event);
    else plan.changed = true;
    if (accepted) endWhenOver(view, plan, newId);
  }
  if (plan.changed) view.sequence += 1;
  if (plan.ready.length > 0) plan.ready = inOrder(view, plan.ready);
  return plan;
}

/**
 * Claims a queued step within a plan that is not yet written, so that one commit makes the step ready and
 * claims it. Returns false when the step cannot be claimed.
 */
export function claimWithin(plan: Plan, slot: number, owner: string): boolean {
  const wasChanged = plan.changed;
  if (!claim(plan.view, plan, slot, owner)) return false;
  if (!wasChanged) plan.view.sequence += 1;
  plan.changed = true;
  return true;
}

/** Returns the slots that are still ready, each once, breadth first. */
function inOrder({ graph, steps }: ExecutionView, ready: readonly number[]): number[] {
  const queued = [...new Set(ready)].filter((slot) => steps[slot]!.status === 'queued');
  return queued.sort((a, b) => graph.rank[a]! - graph.rank[b]!);
}

/** Returns whether the event changed anything; false: it is late. */
function apply(view: ExecutionView, plan: Plan, event: Event, newId: () => string): boolean {
  switch (event.type) {
    case 'begin':
      return begin(view, plan, newId);
    case 'claim':
      return claim(view, plan, event.slot, event.owner);
    case 'complete':
      return complete(view, plan, event, newId);
    case 'fail':
      return fail(view, plan, event, newId);
    case 'skip':
      return skip(view, plan, event.slot, event.claim, newId);
    case 'park':
      return park(view, plan, event);
    case 'wake':
      return wake(view, plan, event, newId);
    case 'step_time_out':
      return timeOutStep(view, plan, event, newId);
    case 'release':
    case 'rescue':
    case 'displace':
      return giveBack(view, plan, event);
    case 'reconsider':
      return reconsider(view, plan, newId);
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
  for (const slot of view.graph.roots) {
    const state = createState(view, plan, slot, newId);
    makeReady(plan, state, []);
  }
  return true;
}

function claim(view: ExecutionView, plan: Plan, slot: number, owner: string): boolean {
  const state = view.steps[slot];
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
  const state = held(view, event.slot, event.claim);
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
  const state = held(view, event.slot, event.claim);
  if (state === null) return false;
  touch(plan, state);
  if (!event.begun && !state.parked) state.attempt -= 1;
  failAttempt(view, plan, state, event, event.random, newId);
  return true;
}

/** Handles a failed attempt: a retry, or the end of the step with its consequences. */
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
  const policy = view.graph.steps[state.slot]!.retry;
  const delay = view.stopRequested !== null ? null : retryDelayMs(policy, state.retries, failure, random);
  state.parked = false;
  state.hasDeadline = false;
  change.deadlineMs = null;
  if (delay !== null) {
    leaveProcess({ state, change }, 'retrying', { afterMs: delay, purpose: 'resume' });
    state.retries += 1;
    return;
  }
  settle(view, plan, state, 'failed');
  if (!view.graph.handlesFailure[state.slot]) {
    const { code, message } = failure.error;
    view.failure ??= { code, message, step: view.graph.steps[state.slot]!.key };
    if (view.graph.onFailure === 'stop' && view.stopRequested === null) {
      end(view, plan, { status: 'failed', error: view.failure }, newId);
    }
  }
  propagate(view, plan, state, newId);
}

function skip(view: ExecutionView, plan: Plan, slot: number, token: Claim, newId: () => string): boolean {
  const state = held(view, slot, token);
  if (state === null) return false;
  touch(plan, state);
  state.attempt -= 1;
  settle(view, plan, state, 'skipped');
  propagate(view, plan, state, newId);
  return true;
}

function park(view: ExecutionView, plan: Plan, event: Extract<Event, { type: 'park' }>): boolean {
  const state = held(view, event.slot, event.claim);
  if (state === null) return false;
  const change = touch(plan, state);
  if (view.stopRequested !== null) {
    settle(view, plan, state, 'cancelled');
    return true;
  }
  leaveProcess(
    { state, change },
    'waiting',
    event.forMs === null ? null : { afterMs: event.forMs, purpose: 'resume' },
  );
  state.parked = true;
  change.parkedState = event.state;
  change.waitingFor = event.waitingFor;
  // The deadline belongs to the attempt: an attempt that is parked again has it already.
  if (event.timeoutMs !== null && !state.hasDeadline) {
    state.hasDeadline = true;
    change.deadlineMs = event.timeoutMs;
  }
  return true;
}

function wake(
  view: ExecutionView,
  plan: Plan,
  event: Extract<Event, { type: 'wake' }>,
  newId: () => string,
): boolean {
  const state = view.steps[event.slot];
  // The timeout of an attempt passes once: a retry after it waits only for its delay.
  const due = state?.status === 'waiting' || (state?.status === 'retrying' && event.purpose === 'resume');
  if (state === undefined || !due || state.attempt !== event.attempt) return false;
  // A stale timer of an earlier wait: a step may wait several times within an attempt.
  if (state.sequence !== event.sequence) return false;
  touch(plan, state);
  if (event.purpose === 'resume') {
    makeReady(plan, state, null);
    return true;
  }
  failAttempt(view, plan, state, TIMED_OUT, event.random, newId);
  return true;
}

const TIMED_OUT = {
  error: { code: 'timeout', message: 'The step did not finish within its timeout.', details: null },
  retryable: true,
  retryAfterMs: null,
};

/** Times out a parked step. A running step is timed out by the process that runs it. */
function timeOutStep(
  view: ExecutionView,
  plan: Plan,
  event: Extract<Event, { type: 'step_time_out' }>,
  newId: () => string,
): boolean {
  const state = view.steps[event.slot];
  const isParked = state?.status === 'waiting' || (state?.status === 'queued' && state.parked);
  if (!isParked || !state.hasDeadline || state.retries !== event.retries) return false;
  touch(plan, state);
  failAttempt(view, plan, state, TIMED_OUT, event.random, newId);
  return true;
}

function giveBack(
  view: ExecutionView,
  plan: Plan,
  event: Extract<Event, { type: 'release' | 'rescue' | 'displace' }>,
): boolean {
  const state = held(view, event.slot, event.claim);
  if (state === null) return false;
  touch(plan, state);
  if (event.type === 'release' && !state.parked) state.attempt -= 1;
  if (event.type === 'rescue') state.crashes += 1;
  if (view.stopRequested !== null) {
    settle(view, plan, state, 'cancelled');
    return true;
  }
  // The next claim of a parked step counts no attempt, so the lost attempt is counted here.
  if (event.type !== 'release' && state.parked) state.attempt += 1;
  makeReady(plan, state, null);
  return true;
}

/**
 * Brings the execution up to date with its edges: decided joins fire or are skipped, and an execution that is over
 * ends.
 * Returns false when nothing changes, or when an unhandled failure was never recorded.
 */
function reconsider(view: ExecutionView, plan: Plan, newId: () => string): boolean {
  if (view.status !== 'running') return false;
  if (view.stopRequested === null) {
    if (hasUnrecordedFailure(view)) return false;
    decideWaiting(view, plan, newId);
  }
  return plan.steps.size > 0 || isOver(view);
}

/** An unhandled failure is recorded in the commit that causes it. */
function hasUnrecordedFailure({ graph, steps, failure }: ExecutionView): boolean {
  if (failure !== null && graph.onFailure === 'continue') return false;
  return steps.some((state) => state?.status === 'failed' && !graph.handlesFailure[state.slot]);
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

/** Returns the state that the claim still holds; null: the claim is late. */
function held(view: ExecutionView, slot: number, token: Claim): StepState | null {
  const state = view.steps[slot];
  if (state?.status !== 'running' || state.attempt !== token.attempt || state.owner !== token.owner)
    return null;
  return token.sequence === undefined || state.sequence === token.sequence ? state : null;
}
