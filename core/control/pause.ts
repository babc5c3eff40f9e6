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

/** Returns false when it is paused already, or is over or about to be. */
export function pause(view: ExecutionView, plan: Plan, { by }: Extract<Event, { type: 'pause' }>): boolean {
  if (view.pause !== null || !mayBePaused(view)) return false;
  view.pause = { by };
  plan.pausing = true;
  view.status = 'paused';
  return true;
}

/** Returns false when it is not paused, or by somebody else. */
export function resume(view: ExecutionView, plan: Plan, { by }: Extract<Event, { type: 'resume' }>): boolean {
  if (view.pause === null || view.pause.by !== by || !mayBePaused(view)) return false;
  view.pause = null;
  plan.pausing = true;
  goOn(view, plan);
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
