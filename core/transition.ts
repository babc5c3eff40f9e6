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
  answer,
  claimTask,
  closeIncident,
  fail,
  failAttempt,
  hearOfChild,
  hearOfScopes,
  hearOfUndone,
  returnTask,
  timeOutStep,
  wake,
} from './attempt-events.ts';
import { claim, complete, giveBack, park, skip } from './claims/claim-events.ts';
import { hasToUndo } from './compensation/compensation.ts';
import { endTaken, takeStep } from './control/force.ts';
import { beginFork } from './control/fork/begin-fork.ts';
import { located } from './control/migration/located.ts';
import { repairView } from './control/repair.ts';
import {
  cancelledError,
  conclude,
  end,
  endStopped,
  endWhenOver,
  isOver,
  stopped,
  timedOutError,
  windDown,
} from './ending.ts';
import type { Event } from './event.ts';
import { openIdle, pause, resume, settleHold } from './hold/pause.ts';
import { emptyPlan, type Plan } from './plan.ts';
import { createState, decideWaiting, holdsOpen, makeReady } from './settlement.ts';
import { isFinalExecution } from './status.ts';
import type { ExecutionView } from './view.ts';

export function transition(view: ExecutionView, events: readonly Event[], newId: () => string): Plan {
  const plan = emptyPlan(view);
  const heard = hearOfScopes(view, plan, events, newId);
  for (const event of events) {
    const accepted =
      heard.has(event) ||
      ((event.type === 'repair' || !isFinalExecution(view.status)) && applyLocated(view, plan, event, newId));
    if (!accepted) plan.late.push(event);
    else take(plan, event);
    if (accepted && !plan.looksAgain) endWhenOver(view, plan, newId);
  }
  if (plan.changed && (view.status === 'paused' || view.graph.pauses !== null)) settleHold(view, plan);
  if (view.status !== 'paused') view.pause = null;
  if (plan.changed) view.sequence += 1;
  if (plan.ready.length > 0) plan.ready = inOrder(view, plan.ready);
  return plan;
}

/** Takes note of an event that has changed something, and of the act that it is of. */
function take(plan: Plan, event: Event): void {
  plan.changed = true;
  if (!('act' in event) || event.act === undefined) return;
  plan.acts ??= [];
  plan.acts.push(event.act);
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
  if (ready.length === 1) return steps[ready[0]!]!.status === 'queued' ? [ready[0]!] : [];
  const queued = [...new Set(ready)].filter((slot) => steps[slot]!.status === 'queued');
  return queued.sort((a, b) => graph.rank[a]! - graph.rank[b]!);
}

function applyLocated(view: ExecutionView, plan: Plan, event: Event, newId: () => string): boolean {
  const at = located(view, event);
  return at !== null && apply(view, plan, at, newId);
}

/** Returns whether the event changed anything; false: it is late. */
function apply(view: ExecutionView, plan: Plan, event: Event, newId: () => string): boolean {
  switch (event.type) {
    case 'begin':
      return begin(view, plan, newId);
    case 'begin_fork':
      return beginFork(view, plan, event.reused, newId);
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
    case 'claim_task':
      return claimTask(view, plan, event);
    case 'return_task':
      return returnTask(view, plan, event, newId);
    case 'answer':
      return answer(view, plan, event, newId);
    case 'scopes_ended':
    case 'migrate':
      return false;
    case 'child_ended':
      return hearOfChild(view, plan, event, newId);
    case 'scopes_undone':
      return hearOfUndone(view, plan, event);
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
      return stop(view, plan, event, newId);
    case 'stop_overdue':
      return graceOver(view, plan, newId);
    case 'cancel':
      plan.cancelled = true;
      return end(view, plan, { status: 'cancelled', error: cancelledError(event.reason) }, newId);
    case 'close_incident':
      return closeIncident(view, plan, event, newId);
    case 'pause':
      return pause(view, plan, event);
    case 'resume':
      return resume(view, plan, event);
    case 'time_out':
      return timeOut(view, plan, event, newId);
    case 'force':
      return force(view, plan, event, newId);
    case 'repair':
      return retry(view, plan, event, newId);
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

/**
 * Brings the execution up to date with its edges: decided joins fire or are skipped, and an execution that is over
 * ends.
 * Returns false when nothing changes, or when an unhandled failure was never recorded.
 */
function reconsider(view: ExecutionView, plan: Plan, newId: () => string): boolean {
  if (view.status === 'compensating') return isOver(view);
  if (view.status !== 'running' && view.status !== 'paused') return false;
  if (view.stopRequested === null) {
    if (hasUnrecordedFailure(view)) return false;
    decideWaiting(view, plan, newId);
    openIdle(view, plan);
  }
  return plan.steps.size > 0 || plan.scopes !== null || isOver(view);
}

/** An unhandled failure is recorded in the commit that causes it. */
function hasUnrecordedFailure({ graph, steps, failure }: ExecutionView): boolean {
  // With `stop` it is known while the execution goes on only if a retry has left the failed step as it was.
  if (failure !== null) return false;
  return steps.some((state) => state?.status === 'failed' && !graph.handlesFailure[state.slot]);
}

function stop(
  view: ExecutionView,
  plan: Plan,
  { reason }: Extract<Event, { type: 'stop' }>,
  newId: () => string,
): boolean {
  if (view.stopRequested !== null || view.status === 'compensating') return false;
  view.stopRequested = { reason };
  plan.stopping = true;
  if (hasToUndo(view)) conclude(view, plan, stopped(view), newId, 'grace');
  else windDown(view, plan, 'grace', newId);
  return true;
}

/** The grace time of a stop is over, or that of an end after which something is to be undone. */
function graceOver(view: ExecutionView, plan: Plan, newId: () => string): boolean {
  if (view.status !== 'compensating') return view.stopRequested !== null && endStopped(view, plan, newId);
  const isGrace = isInGrace(view);
  if (isGrace) windDown(view, plan, 'none', newId);
  return isGrace;
}

/** Returns whether steps of the graph, or of open scopes, still have time to end. */
function isInGrace({ settledCount, graph, steps }: ExecutionView): boolean {
  return settledCount < graph.size || steps.some((state) => state !== undefined && holdsOpen(state));
}

/** The execution's timeout does not apply while it is compensating. */
function timeOut(
  view: ExecutionView,
  plan: Plan,
  { timeoutMs }: Extract<Event, { type: 'time_out' }>,
  newId: () => string,
): boolean {
  if (timeoutMs !== undefined && timeoutMs !== view.graph.timeoutMs) return false;
  if (view.status === 'compensating') return false;
  return conclude(view, plan, { status: 'timed_out', error: timedOutError() }, newId, 'grace');
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

function retry(
  view: ExecutionView,
  plan: Plan,
  { repair, sequence, act }: Extract<Event, { type: 'repair' }>,
  newId: () => string,
): boolean {
  if (sequence !== null && view.sequence !== sequence) return false;
  return repairView(view, plan, repair, act, newId) === null;
}

function force(
  view: ExecutionView,
  plan: Plan,
  event: Extract<Event, { type: 'force' }>,
  newId: () => string,
): boolean {
  const taken = takeStep(view, plan, event);
  if (taken === null) return false;
  const { state, isMade } = taken;
  const { result } = event;
  if (result.kind !== 'fail') endTaken(view, plan, state, result, newId);
  else failAttempt(view, plan, state, { ...result, retryable: false, retryAfterMs: null, isMade }, 0, newId);
  return true;
}
