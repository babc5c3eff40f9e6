/**
 * Pause and resume. Nothing begins in a paused execution: no step is claimed, no task, and no scope or child is opened. All else
 * goes on: handlers end, timers are due, answers are taken, edges are resolved, and the execution may end.
 *
 * The view of a scope is `paused` while its execution is; the row of the scope says nothing of it.
 */

import type { Event } from '../event.ts';
import type { Plan } from '../plan.ts';
import { goOnWithScopes } from '../settlement.ts';
import type { ExecutionView } from '../view.ts';
import { hasBegun, mayOpenMore } from './held-back.ts';
import { hasIncident, isIncident, tryAgain } from './incident.ts';

type Hold = Extract<Event, { type: 'pause' | 'resume' }>;

/** Returns false when it is paused already, or is over or about to be. */
export function pause(view: ExecutionView, plan: Plan, { by }: Hold): boolean {
  if (view.pause !== null || !mayBePaused(view)) return false;
  view.pause = { by };
  plan.pausing = true;
  view.status = 'paused';
  return true;
}

/** An execution is paused while a pause or an open incident holds it, and goes on after that. */
export function settleHold(view: ExecutionView, plan: Plan): void {
  if (view.scope !== null) return;
  const isHeld = (view.pause !== null && view.status === 'paused') || hasIncident(view);
  if (isHeld && view.status === 'running' && view.stopRequested === null) view.status = 'paused';
  else if (!isHeld && view.status === 'paused' && view.stopRequested === null) goOn(view, plan);
}

/** Lifts the pause, and closes all incidents. Returns false when it is not paused, or by somebody else. */
export function resume(view: ExecutionView, plan: Plan, { by }: Hold): boolean {
  if (!mayBePaused(view)) return false;
  if (view.pause === null ? by !== null || !hasIncident(view) : view.pause.by !== by) return false;
  view.pause = null;
  plan.pausing = true;
  // A parent lifts its own pause alone.
  if (by === null)
    for (const state of view.steps) if (state !== undefined && isIncident(state)) tryAgain(plan, state);
  return true;
}

function mayBePaused({ scope, status, stopRequested }: ExecutionView): boolean {
  if (scope !== null || stopRequested !== null) return false;
  return status === 'pending' || status === 'running' || status === 'paused';
}

/** What was held back begins. */
function goOn(view: ExecutionView, plan: Plan): void {
  view.status = hasBegun(view) ? 'running' : 'pending';
  for (const state of view.steps) if (state?.status === 'queued') plan.ready.push(state.slot);
  openIdle(view, plan);
}

/** Opens the scopes of steps that may open more. */
export function openIdle(view: ExecutionView, plan: Plan): void {
  if (view.status === 'paused') return;
  for (const state of view.steps) if (state !== undefined && mayOpenMore(state)) goOnWithScopes(plan, state);
}
