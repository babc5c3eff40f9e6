/**
 * The events that may fail an attempt: its failure, its timeout, the answer of the outside for which it waits, the loss of its
 * task, and what is heard of its scopes and its child.
 *
 * Only transition.ts calls this.
 */
import { noteAttempt, outcomeOfFailure } from './attempts/ended-attempt.ts';
import { claimedState, mayBegin } from './claims/claim-events.ts';
import { goOnUndoing, hasToUndo, undoesScopes, windsDown } from './compensation/compensation.ts';
import { conclude } from './ending.ts';
import type { ChildEnded, Event, ScopesEnded, ScopesUndone, StepError, WaitResult } from './event.ts';
import { isIncident, openIncident, pausesWhenExhausted, tryAgain } from './hold/incident.ts';
import { type Plan, scopeChanges } from './plan.ts';
import { retryDelayMs } from './retry.ts';
import { countEnds, failureOfHolder } from './scopes/held-scopes.ts';
import {
  cancelScopes,
  goOnWithScopes,
  holdsOpen,
  leaveProcess,
  makeReady,
  propagate,
  settle,
  touch,
  undoScopes,
} from './settlement.ts';
import type { ExecutionFailure, ExecutionView, StepState } from './view.ts';
import { MAX_TASK_LOSSES, WORKER_LOST } from './waits/worker-lost.ts';

const NONE: ReadonlySet<Event> = new Set();

export function fail(
  view: ExecutionView,
  plan: Plan,
  event: Extract<Event, { type: 'fail' }>,
  newId: () => string,
): boolean {
  const state = claimedState(view, event.slot, event.claim);
  if (state === null) return false;
  touch(plan, state);
  const isMade = event.begun || state.parked;
  if (!isMade) state.attempt -= 1;
  failAttempt(view, plan, state, { ...event, isMade }, event.random, newId);
  return true;
}

/**
 * Handles a failed attempt: a retry, or the end of the step with its consequences.
 * @param failure `isMade` is false when it failed before it began: no attempt was made
 */
export function failAttempt(
  view: ExecutionView,
  plan: Plan,
  state: StepState,
  failure: { error: StepError; retryable: boolean; retryAfterMs: number | null; isMade?: boolean },
  random: number,
  newId: () => string,
): void {
  const change = touch(plan, state);
  change.error = failure.error;
  if (failure.isMade !== false) noteAttempt(plan, state, outcomeOfFailure(failure.error), failure.error);
  const policy = view.graph.steps[state.slot]!.retry;
  const delay = windsDown(view, state.slot) ? null : retryDelayMs(policy, state.retries, failure, random);
  state.parked = false;
  state.hasDeadline = false;
  change.deadlineMs = null;
  const isIncident = delay === null && pausesWhenExhausted(view, state.slot);
  const isEnd = delay === null && !isIncident && endsExecution(view, state.slot);
  const hasGrace = isEnd && hasToUndo(view);
  if (holdsOpen(state) && !hasGrace) cancelScopes(plan, state);
  if (delay !== null) {
    leaveProcess({ state, change }, 'retrying', { afterMs: delay, purpose: 'resume' });
    state.retries += 1;
  } else if (isIncident) openIncident(state, change, failure.retryable);
  else failForGood(view, plan, state, failure, newId);
}

/** Somebody has decided what becomes of an incident. Returns false when there is none any more. */
export function closeIncident(
  view: ExecutionView,
  plan: Plan,
  { slot, stepId, attempt, failure }: Extract<Event, { type: 'close_incident' }>,
  newId: () => string,
): boolean {
  const state = view.steps[slot];
  if (state?.id !== stepId || state.attempt !== attempt || !isIncident(state)) return false;
  touch(plan, state).error = failure?.error ?? null;
  if (failure === null) tryAgain(plan, state);
  else failForGood(view, plan, state, failure, newId);
  return true;
}

/** The step has failed, and nothing tries it again. */
function failForGood(
  view: ExecutionView,
  plan: Plan,
  state: StepState,
  failure: { error: StepError; retryable: boolean },
  newId: () => string,
): void {
  const isEnd = endsExecution(view, state.slot);
  settle(view, plan, state, 'failed', isEnd && hasToUndo(view) ? 'leave' : 'cancel');
  if (!view.graph.handlesFailure[state.slot]) {
    view.failure ??= failureOf(view, state.slot, failure);
    if (isEnd) conclude(view, plan, { status: 'failed', error: view.failure }, newId, 'grace');
  }
  propagate(view, plan, state, newId);
}

/** Returns whether the failure of a step ends its execution or scope at once. */
function endsExecution(view: ExecutionView, slot: number): boolean {
  const { handlesFailure, onFailure } = view.graph;
  return !handlesFailure[slot] && onFailure === 'stop' && !windsDown(view, slot);
}

/** The failure of the view's execution or scope. A scope's has what its holder needs in order to fail in its turn. */
function failureOf(
  { scope, graph }: ExecutionView,
  slot: number,
  { error, retryable }: { error: StepError; retryable: boolean },
): ExecutionFailure {
  const { code, message, details } = error;
  const failure = { code, message, step: graph.steps[slot]!.key };
  return scope === null ? failure : { ...failure, details, retryable };
}

export function wake(
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
export function timeOutStep(
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

/**
 * The outside completes a waiting step, fails its attempt, or answers in part: then the step goes on waiting. Returns false
 * when the step no longer waits for this answer: the attempt and the sequence of the transition that changed it last name
 * the wait, so of two partial answers that did not know of each other one is late.
 */
export function answer(
  view: ExecutionView,
  plan: Plan,
  { slot, stepId, attempt, sequence, id, result, signal, random }: Extract<Event, { type: 'answer' }>,
  newId: () => string,
): boolean {
  const state = view.steps[slot];
  if (state?.status !== 'waiting' || holdsOpen(state)) return false;
  if (state.attempt !== attempt || state.sequence !== sequence) return false;
  if (stepId !== undefined && state.id !== stepId) return false;
  const change = touch(plan, state);
  change.usedSignal = signal ?? null;
  if ('waitingFor' in result) {
    change.answerId = id;
    change.waitingFor = result.waitingFor;
    return true;
  }
  endWait(view, plan, state, { id, result, random }, newId);
  return true;
}

/**
 * The child that a step waits for has ended. Returns false when the step no longer waits for this child: each attempt has a
 * child of its own.
 */
export function hearOfChild(
  view: ExecutionView,
  plan: Plan,
  { slot, attempt, childId, result, random }: ChildEnded,
  newId: () => string,
): boolean {
  const state = view.steps[slot];
  if (state?.status !== 'waiting' || state.attempt !== attempt) return false;
  touch(plan, state).endedChild = childId;
  endWait(view, plan, state, { id: childId, result, random }, newId);
  return true;
}

/** Completes a waiting step, or fails its attempt. @param answer its id is that of the answer, or of the child that ended */
function endWait(
  view: ExecutionView,
  plan: Plan,
  state: StepState,
  { id, result, random }: { readonly id: string; readonly result: WaitResult; readonly random: number },
  newId: () => string,
): void {
  const change = touch(plan, state);
  change.answerId = id;
  if ('error' in result) {
    failAttempt(view, plan, state, { ...result, retryAfterMs: null }, random, newId);
    return;
  }
  change.output = result.output;
  state.parked = false;
  settle(view, plan, state, 'completed');
  propagate(view, plan, state, newId);
}

/** A worker outside claims a waiting task: what was known of the wait before is out of date from then on. */
export function claimTask(
  view: ExecutionView,
  plan: Plan,
  { slot, attempt, sequence, task }: Extract<Event, { type: 'claim_task' }>,
): boolean {
  const state = view.steps[slot];
  if (!mayBegin(view, slot)) return false;
  if (state === undefined || !isSameWait(state, attempt, sequence)) return false;
  touch(plan, state).task = { queue: task.queue, claim: task, losses: null };
  return true;
}

/** Gives a task back whose worker fell silent: the attempt is lost; no retry is used until the third time in a row. */
export function returnTask(
  view: ExecutionView,
  plan: Plan,
  { slot, attempt, sequence, queue, losses, random }: Extract<Event, { type: 'return_task' }>,
  newId: () => string,
): boolean {
  const state = view.steps[slot];
  if (state === undefined || !isSameWait(state, attempt, sequence)) return false;
  const change = touch(plan, state);
  if (losses + 1 >= MAX_TASK_LOSSES) {
    failAttempt(view, plan, state, WORKER_LOST, random, newId);
    return true;
  }
  noteAttempt(plan, state, 'lost');
  state.attempt += 1;
  change.task = { queue, claim: null, losses: losses + 1 };
  plan.offersTask = true;
  return true;
}

function isSameWait(state: StepState, attempt: number, sequence: number): boolean {
  return state.status === 'waiting' && state.attempt === attempt && state.sequence === sequence;
}

/**
 * Ends of scopes come before all other events of a batch, and all are counted before anything follows from one of them:
 * the numbers are right also when the failure of one holder ends the others. Returns the events that are not late.
 */
export function hearOfScopes(
  view: ExecutionView,
  plan: Plan,
  events: readonly Event[],
  newId: () => string,
): ReadonlySet<Event> {
  if (!events.some(({ type }) => type === 'scopes_ended')) return NONE;
  const heard = new Set<Event>();
  for (const event of events) if (event.type === 'scopes_ended' && count(view, plan, event)) heard.add(event);
  for (const event of heard) goOn(view, plan, event as ScopesEnded, newId);
  return heard;
}

function count(view: ExecutionView, plan: Plan, { slot, run, ends }: ScopesEnded): boolean {
  const state = view.steps[slot];
  // A holder that has failed may be over before its scopes are, while its execution is compensating.
  const isHeard = state?.status === 'waiting' || view.status === 'compensating';
  if (state === undefined || !isHeard || state.held?.run !== run || state.held.open === 0) return false;
  countEnds(state.held, ends);
  scopeChanges(plan).counted.add(slot);
  return true;
}

/** The holder opens more scopes, goes on, fails, or is cancelled with its execution. */
function goOn(view: ExecutionView, plan: Plan, { slot, random }: ScopesEnded, newId: () => string): void {
  const state = view.steps[slot]!;
  if (state.status !== 'waiting') return;
  const failure = failureOfHolder(state.held!);
  if (windsDown(view, slot)) {
    if (holdsOpen(state)) return;
    touch(plan, state);
    settle(view, plan, state, 'cancelled');
  } else if (failure !== null) {
    touch(plan, state);
    failAttempt(view, plan, state, { ...failure, retryAfterMs: null }, random, newId);
  } else goOnWithScopes(plan, state);
}

/** The holder's next scopes are undone. */
export function hearOfUndone(view: ExecutionView, plan: Plan, { slot, count }: ScopesUndone): boolean {
  const state = view.steps[slot];
  if (view.status !== 'compensating' || state === undefined || !undoesScopes(state)) return false;
  undoScopes(plan, state, goOnUndoing(state.held!, count));
  return true;
}
