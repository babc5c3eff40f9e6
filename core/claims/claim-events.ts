/**
 * The events of a claim: how a step is claimed, and how its claim ends without a failure.
 *
 * Only transition.ts and attempt-events.ts call this.
 */
import { noteAttempt } from '../attempts/ended-attempt.ts';
import { isCompensation, windsDown } from '../compensation/compensation.ts';
import type { ChildStart, Claim, Event } from '../event.ts';
import { type Plan, scopeChanges } from '../plan.ts';
import { addScopes } from '../scopes/held-scopes.ts';
import { goOnWithScopes, leaveProcess, makeReady, propagate, settle, touch } from '../settlement.ts';
import type { ExecutionView, StepState } from '../view.ts';

export function claim(view: ExecutionView, plan: Plan, slot: number, owner: string): boolean {
  const state = view.steps[slot];
  if (state?.status !== 'queued' || !mayBegin(view, slot)) return false;
  const change = touch(plan, state);
  if (!state.parked) state.attempt += 1;
  state.status = 'running';
  state.owner = owner;
  change.claimed = true;
  return true;
}

/** While an execution is compensating, its compensations begin and nothing else does. */
export function mayBegin({ status, stopRequested, graph }: ExecutionView, slot: number): boolean {
  if (isCompensation(graph, slot)) return status === 'compensating';
  return status === 'running' && stopRequested === null;
}

export function complete(
  view: ExecutionView,
  plan: Plan,
  event: Extract<Event, { type: 'complete' }>,
  newId: () => string,
): boolean {
  const state = claimedState(view, event.slot, event.claim);
  if (state === null) return false;
  if (holdsBackChild(view, event)) return giveBack(view, plan, { ...event, type: 'release' });
  const change = touch(plan, state);
  change.output = event.output;
  state.routes = event.routes;
  if (event.child !== undefined) startChild(plan, state, event.child, false);
  settle(view, plan, state, 'completed');
  propagate(view, plan, state, newId);
  return true;
}

export function skip(
  view: ExecutionView,
  plan: Plan,
  slot: number,
  token: Claim,
  newId: () => string,
): boolean {
  const state = claimedState(view, slot, token);
  if (state === null) return false;
  touch(plan, state);
  state.attempt -= 1;
  settle(view, plan, state, 'skipped');
  propagate(view, plan, state, newId);
  return true;
}

export function park(view: ExecutionView, plan: Plan, event: Extract<Event, { type: 'park' }>): boolean {
  const state = claimedState(view, event.slot, event.claim);
  if (state === null) return false;
  if (holdsBackChild(view, event)) return giveBack(view, plan, { ...event, type: 'release' });
  const change = touch(plan, state);
  if (windsDown(view, event.slot)) {
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
  const kind = event.waitingFor?.kind;
  // Requests to hooks are kept like signals.
  if (kind === 'signal' || kind === 'webhook') plan.awaitsSignal = true;
  if (kind === 'task') plan.offersTask = true;
  // The deadline belongs to the attempt: an attempt that is parked again has it already.
  if (event.timeoutMs !== null && !state.hasDeadline) {
    state.hasDeadline = true;
    change.deadlineMs = event.timeoutMs;
  }
  if (event.child !== undefined) startChild(plan, state, event.child, true);
  if (event.scopes !== undefined) {
    const { items: pieces } = event.scopes;
    if (pieces !== undefined) {
      const { total } = state.held ?? { total: 0 };
      const placed = pieces.map((piece) => ({ ...piece, firstIndex: total + piece.firstIndex }));
      scopeChanges(plan).items.push({ slot: event.slot, pieces: placed });
    }
    state.held = addScopes(state.held, event.scopes);
    goOnWithScopes(plan, state);
  }
  return true;
}

/** A paused execution starts no child: its step is queued again, as if nothing had begun. */
function holdsBackChild({ status }: ExecutionView, { child }: { readonly child?: ChildStart }): boolean {
  return child !== undefined && status === 'paused';
}

function startChild(plan: Plan, { slot, attempt }: StepState, child: ChildStart, isAwaited: boolean): void {
  plan.children ??= [];
  plan.children.push({ slot, attempt, child, isAwaited });
}

export function giveBack(
  view: ExecutionView,
  plan: Plan,
  event: Pick<Extract<Event, { type: 'release' | 'rescue' | 'displace' }>, 'type' | 'slot' | 'claim'>,
): boolean {
  const state = claimedState(view, event.slot, event.claim);
  if (state === null) return false;
  touch(plan, state);
  const isLost = event.type !== 'release';
  // A parked attempt that is given back goes on.
  if (isLost || !state.parked) noteAttempt(plan, state, isLost ? 'lost' : 'given_back');
  if (!isLost && !state.parked) state.attempt -= 1;
  if (event.type === 'rescue') state.crashes += 1;
  if (windsDown(view, event.slot)) {
    settle(view, plan, state, 'cancelled');
    return true;
  }
  // The next claim of a parked step counts no attempt, so the lost attempt is counted here.
  if (isLost && state.parked) state.attempt += 1;
  makeReady(plan, state, null);
  return true;
}

/** Returns the state that the claim still holds; null: the claim is late. */
export function claimedState(view: ExecutionView, slot: number, token: Claim): StepState | null {
  const state = view.steps[slot];
  if (state?.status !== 'running' || state.attempt !== token.attempt || state.owner !== token.owner)
    return null;
  if (token.stepId !== undefined && state.id !== token.stepId) return null;
  return token.sequence === undefined || state.sequence === token.sequence ? state : null;
}
