/**
 * A retry: resets steps of an execution, or of a scope, that is over, and lets it go on. Pure.
 *
 * | named | reset |
 * |---|---|
 * | nothing | failures that nothing handles, and what was cancelled |
 * | `from` | that step and all downstream |
 * | `only` | that step, and what is downstream and has not completed |
 * | a step in a scope | as above in the scope; its holder goes on, and all downstream of the holder is reset |
 *
 * Besides that steps are reset whose compensation has completed, and steps are decided anew that were skipped only through those
 * that are reset. `outputs` and `skip` end steps instead of resetting them.
 *
 * Invariant 1: a refusal comes before the view is changed.
 * Invariant 2: what is neither reset nor named stays as it is.
 */
import { decideJoin } from '../join.ts';
import { emptyPlan, type Plan, repairOf } from '../plan.ts';
import { decideWaiting, leaveProcess, makeReady, propagate, settle } from '../settlement.ts';
import { isFinalExecution } from '../status.ts';
import type { ExecutionFailure, ExecutionView, StepState } from '../view.ts';
import type { Act } from './act.ts';
import type { HolderRepair, Repair } from './asked-repair.ts';
import { brokenSteps } from './broken-steps.ts';
import { pathOf, type Refusal, starvationOf } from './refusal.ts';
import { reopenHolder } from './reopen-holder.ts';
import { resetStep } from './reset.ts';

/** Returns why the view may not be retried so; null: it was, and `plan` has what is to be written. */
export function repairView(
  view: ExecutionView,
  plan: Plan,
  repair: Repair,
  act: Act | null,
  newId: () => string,
): Refusal | null {
  const refusal = refusalOf(view, repair);
  if (refusal !== null) return refusal;
  const copy = copyOf(view);
  change(copy, emptyPlan(copy), repair, act, newId);
  const starvation = starvationOf(copy);
  if (starvation !== null) return starvation;
  change(view, plan, repair, act, newId);
  return null;
}

function change(view: ExecutionView, plan: Plan, repair: Repair, act: Act | null, newId: () => string): void {
  repairOf(plan);
  const skippedByJoin = new Set(skippedSteps(view));
  const named = [...repair.outputs.keys(), ...repair.skip];
  const kept = new Set([...named, ...keptHolders(view, repair)]);
  for (const slot of new Set([...toReset(view, repair), ...named])) {
    const state = view.steps[slot];
    // An end from above makes no rows for steps of a scope that had not been reached.
    if (state !== undefined) reset(view, plan, state, kept.has(slot));
  }
  for (const [slot, holder] of repair.reopened) reopen(view, plan, view.steps[slot]!, holder);
  decideSkippedAnew(view, plan, skippedByJoin);
  raceAnew(view, plan, named);
  view.status = 'running';
  view.stopRequested = null;
  view.due = null;
  view.hasOpenChildren = false;
  view.failure = leftFailure(view, named);
  waitForChildren(view, plan, repair.children);
  begin(view, plan, { repair, act }, newId);
}

/** Only what is over is retried; what has completed only from a step on. */
function refusalOf(view: ExecutionView, repair: Repair): Refusal | null {
  const { status, scope, failure } = view;
  const { from, only, outputs, skip, isBelow } = repair;
  const namesStep = from !== null || only !== null || isBelow;
  if (!isFinalExecution(status))
    return wrongState(`${subject(view)} is ${status}: only what is over is retried.`);
  if (status === 'completed' && scope === null && !namesStep)
    return wrongState(`${subject(view)} has completed: name a step in from or only.`);
  if (failure?.code === 'invalid_inputs' && failure.step === null)
    return wrongState(`${subject(view)} never began, as its inputs do not fit: start another one.`);
  for (const slot of [...outputs.keys(), ...skip]) {
    const state = view.steps[slot];
    if (state?.status === 'failed' || state?.status === 'cancelled') continue;
    if (state !== undefined && isHalfUndone(compensationOf(view, slot)?.status)) continue;
    return wrongState(
      `${pathOf(view, slot)} is ${state?.status}: outputs and skip name steps that failed or were cancelled.`,
    );
  }
  const undone = view.graph.compensated.filter(
    (slot) => isHalfUndone(compensationOf(view, slot)?.status) && !outputs.has(slot) && !skip.has(slot),
  );
  if (undone.length === 0) return null;
  const paths = undone.map((slot) => pathOf(view, slot)).join(', ');
  const message = `Nobody knows whether these steps are undone, as their compensation did not complete: ${paths}. Name each in outputs or skip.`;
  return { code: 'not_compensated', message };
}

function wrongState(message: string): Refusal {
  return { code: 'wrong_state', message };
}

function subject({ id, scope }: ExecutionView): string {
  return scope === null ? `Execution ${id}` : `Scope ${scope.path}`;
}

function isHalfUndone(status: StepState['status'] | undefined): boolean {
  return status === 'failed' || status === 'cancelled';
}

function compensationOf({ graph, steps }: ExecutionView, slot: number): StepState | undefined {
  const place = graph.compensated.indexOf(slot);
  return place < 0 ? undefined : steps[graph.size + place];
}

/** Returns the slots of the steps that are reset, besides those that are named. */
function toReset(view: ExecutionView, { from, only, reopened, isBelow }: Repair): number[] {
  const { graph, steps } = view;
  const holders = [...reopened.keys()];
  const undone = graph.compensated.filter((slot) => compensationOf(view, slot)?.status === 'completed');
  const all = [...undone, ...undoneHolders(view), ...downstream(view, holders)];
  if (from !== null) all.push(from, ...downstream(view, [from]));
  else if (only !== null) {
    const after = downstream(view, [only]);
    all.push(only, ...after.filter((slot) => steps[slot]?.status !== 'completed'));
  } else if (!isBelow) all.push(...brokenSteps(view));
  return all.filter((slot) => !reopened.has(slot));
}

/** Holders whose scopes were undone. */
function undoneHolders({ graph, steps }: ExecutionView): number[] {
  return graph.undoneInside.filter((slot) => steps[slot]?.held?.undoing != null);
}

function downstream({ graph }: ExecutionView, slots: readonly number[]): number[] {
  const found = new Set<number>();
  const open = [...slots];
  for (let slot = open.pop(); slot !== undefined; slot = open.pop()) {
    for (const { to } of graph.outgoing[slot]!) {
      if (found.has(to)) continue;
      found.add(to);
      open.push(to);
    }
  }
  return [...found];
}

/** Returns holders that go on with their scopes, as in a retry of their own: those that nobody has named. */
function keptHolders(view: ExecutionView, { from, only, isBelow }: Repair): number[] {
  if (from !== null || only !== null || isBelow) return [];
  return brokenSteps(view).filter((slot) => view.steps[slot]!.held?.undoing === null);
}

/** @param keepsScopes false: it evaluates anew what it holds */
function reset(view: ExecutionView, plan: Plan, state: StepState, keepsScopes: boolean): void {
  resetStep(view, plan, state);
  if (state.held === null || keepsScopes) return;
  state.held = null;
  repairOf(plan).discarded.push(state.slot);
}

function reopen(view: ExecutionView, plan: Plan, state: StepState, holder: HolderRepair): void {
  const hasCompleted = state.status === 'completed';
  const change = resetStep(view, plan, state);
  leaveProcess({ state, change }, 'waiting', null);
  state.parked = true;
  change.waitingFor = { kind: 'scopes' };
  startTimeout(view, plan, state);
  reopenHolder(view, plan, state, holder, hasCompleted);
}

function startTimeout(view: ExecutionView, plan: Plan, state: StepState): void {
  const { timeoutMs } = view.graph.steps[state.slot]!;
  state.hasDeadline = timeoutMs !== null;
  plan.steps.get(state.slot)!.deadlineMs = timeoutMs;
}

/** Returns the steps that were skipped since their join could not fire, rather than by their guard or by hand. */
function skippedSteps({ graph, steps }: ExecutionView): number[] {
  return [...Array(graph.size).keys()].filter((slot) => {
    const state = steps[slot];
    if (state?.status !== 'skipped' || state.byHand) return false;
    return decisionOf(graph, state) === 'skip';
  });
}

function decisionOf(graph: ExecutionView['graph'], { slot, resolved, live }: StepState) {
  const edges = graph.incoming[slot]!.length;
  return edges === 0 ? 'fire' : decideJoin(graph.steps[slot]!.join, edges, resolved, live);
}

/** Those before a step come first: each may open the edges of the next. */
function decideSkippedAnew(view: ExecutionView, plan: Plan, skipped: ReadonlySet<number>): void {
  const { graph, steps } = view;
  const inOrder = [...skipped].sort((a, b) => graph.depth[a]! - graph.depth[b]!);
  for (const slot of inOrder) {
    const state = steps[slot]!;
    if (state.status === 'skipped' && decisionOf(graph, state) !== 'skip') resetStep(view, plan, state);
  }
}

/** Losers run again where a step that they lead to is reset: it may need them, unless it is their race and fires at once. */
function raceAnew(view: ExecutionView, plan: Plan, named: readonly number[]): void {
  const { graph, steps } = view;
  if (graph.mayLose === null) return;
  const waits = (slot: number) =>
    steps[slot]?.status === 'waiting_inputs' &&
    !named.includes(slot) &&
    (!graph.steps[slot]!.cancelsLosers || decisionOf(graph, steps[slot]) === 'wait');
  const losers = steps.filter((state) => state?.lost === true) as StepState[];
  // Those nearest to the join come first: what leads to them runs again with them.
  const again = new Set<number>();
  for (const state of losers.sort((a, b) => graph.depth[b.slot]! - graph.depth[a.slot]!)) {
    if (!graph.outgoing[state.slot]!.some(({ to }) => again.has(to) || waits(to))) continue;
    again.add(state.slot);
    reset(view, plan, state, false);
  }
}

/** The execution fails at its end with a failure that nothing handles and that it leaves as it is. */
function leftFailure(view: ExecutionView, named: readonly number[]): ExecutionFailure | null {
  const { graph, steps, failure } = view;
  const left = steps.filter(
    (state) =>
      state?.status === 'failed' &&
      state.slot < graph.size &&
      !graph.handlesFailure[state.slot] &&
      !named.includes(state.slot),
  );
  if (left.length === 0) return null;
  const keys = left.map((state) => graph.steps[state!.slot]!.key);
  if (failure !== null && failure.step !== null && keys.includes(failure.step)) return failure;
  const message = `The step ${keys[0]} had failed, and the retry has left it as it was.`;
  return { code: 'failure_left', message, step: keys[0]!, retryable: false };
}

function waitForChildren(view: ExecutionView, plan: Plan, children: Repair['children']): void {
  for (const [slot, executionId] of children) {
    const state = view.steps[slot]!;
    if (state.status !== 'waiting_inputs' || !plan.steps.get(slot)?.control?.isReset) continue;
    const change = plan.steps.get(slot)!;
    leaveProcess({ state, change }, 'waiting', null);
    state.parked = true;
    change.waitingFor = { kind: 'child', execution_id: executionId };
    startTimeout(view, plan, state);
    repairOf(plan).children.push(executionId);
  }
}

/** Ends the named steps, and decides what waits. */
function begin(
  view: ExecutionView,
  plan: Plan,
  { repair: { outputs, skip }, act }: { readonly repair: Repair; readonly act: Act | null },
  newId: () => string,
): void {
  for (const [slot, { output, routes }] of outputs) {
    const state = endByHand(plan, view.steps[slot]!, act);
    plan.steps.get(slot)!.output = output;
    state.routes = routes;
    settle(view, plan, state, 'completed');
  }
  for (const slot of skip) settle(view, plan, endByHand(plan, view.steps[slot]!, act), 'skipped');
  for (const slot of view.graph.roots) {
    const state = view.steps[slot];
    if (state?.status === 'waiting_inputs') makeReady(plan, state, []);
  }
  for (const slot of [...outputs.keys(), ...skip]) propagate(view, plan, view.steps[slot]!, newId);
  decideWaiting(view, plan, newId);
}

function endByHand(plan: Plan, state: StepState, act: Act | null): StepState {
  state.byHand = true;
  plan.steps.get(state.slot)!.control = { isReset: true, byHand: act };
  return state;
}

/** A copy to try a change on. */
function copyOf(view: ExecutionView): ExecutionView {
  const steps = view.steps.map(
    (state) => state && { ...state, held: state.held && structuredClone(state.held) },
  );
  return { ...view, steps, edges: view.edges.slice() };
}
