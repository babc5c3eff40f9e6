/**
 * The invariants of every execution at every commit, as functions that return findings.
 *
 * Shared by the property tests, the simulation and the doctor. They read a view, its queue jobs and its tracker rows,
 * and report faults without repairing them. They recompute everything that `transition` derived: counters are counted
 * again, joins are decided again.
 */

import { isCompensation, isUndoing } from './compensation/compensation.ts';
import { faultsOfCompensating, faultsOfCompensation, faultsOfUndoing } from './compensation/faults.ts';
import { hasOtherInputs, isResumed } from './control/resumed.ts';
import { isLive } from './graph.ts';
import { isUnderWay } from './hold/held-back.ts';
import { type QueueName, readyQueue } from './jobs.ts';
import { decideJoin } from './join.ts';
import { faultsOfLoser } from './races/faults.ts';
import { faultsOfScopes } from './scopes/faults.ts';
import { holdsOpen } from './settlement.ts';
import { isFinalExecution, isFinalStep, type StepStatus } from './status.ts';
import {
  EDGE_DEAD,
  EDGE_LIVE,
  EDGE_OPEN,
  type ExecutionView,
  resolvesEdges,
  type StepState,
} from './view.ts';

export type FindingCode =
  | 'counters_wrong'
  | 'edge_wrong'
  | 'join_undecided'
  | 'join_decided_early'
  | 'row_too_early'
  | 'row_missing'
  | 'claim_wrong'
  | 'retries_over_limit'
  | 'not_settled'
  | 'not_ended'
  | 'stuck'
  | 'failure_overlooked'
  | 'stop_overlooked'
  | 'job_missing'
  | 'job_stray'
  | 'job_twice'
  | 'input_missing'
  | 'input_stray'
  | 'input_twice'
  | 'final_changed'
  | 'edge_changed'
  | 'sequence_wrong'
  | 'scopes_wrong'
  | 'scopes_idle'
  | 'loser_wrong'
  | 'compensation_wrong';

export interface Finding {
  readonly code: FindingCode;
  /** Key of the step concerned; null: the execution. */
  readonly step: string | null;
  /** One sentence: the fault found and the state required. */
  readonly message: string;
}

/** A job of one step of the execution, in any queue. Jobs that start executions are excluded. */
export interface StepJob {
  readonly queue: QueueName;
  readonly stepId: string;
}

/** A row of workflow_input_tracker. */
export interface TrackedInput {
  readonly stepId: string;
  readonly fromStepId: string;
  readonly live: boolean;
}

/** The part of a view that `findInSuccession` compares. */
export type ViewSnapshot = Pick<ExecutionView, 'status' | 'sequence'> & {
  readonly steps: readonly (StepStatus | undefined)[];
  readonly edges: Uint8Array;
};

/** Returns all findings that need only the view. */
export function findInView(view: ExecutionView): Finding[] {
  return [
    ...findInEdges(view),
    ...view.graph.steps.flatMap((_, slot) => findInStep(view, slot)),
    ...findInProgress(view),
  ];
}

/** An edge is resolved exactly when its producer is settled, and live exactly when that result makes it live. */
function findInEdges(view: ExecutionView): Finding[] {
  const findings: Finding[] = [];
  for (const edge of view.graph.edges) {
    const producer = view.steps[edge.from];
    const expected = producer === undefined ? EDGE_OPEN : expectedEdge(view, edge.id, producer);
    if (view.edges[edge.id] === expected) continue;
    const name = `${keyOf(view, edge.from)} -> ${keyOf(view, edge.to)}`;
    const message = `Edge ${name} is ${edgeWord(view.edges[edge.id])}, its producer makes it ${edgeWord(expected)}.`;
    findings.push({ code: 'edge_wrong', step: keyOf(view, edge.to), message });
  }
  return findings;
}

function expectedEdge(view: ExecutionView, id: number, { status, routes, lost }: StepState): number {
  if (!resolvesEdges(status, lost)) return EDGE_OPEN;
  return isLive(view.graph.edges[id]!, status, routes) ? EDGE_LIVE : EDGE_DEAD;
}

function edgeWord(edge: number | undefined): string {
  if (edge === EDGE_LIVE) return 'live';
  return edge === EDGE_DEAD ? 'dead' : 'open';
}

function findInStep(view: ExecutionView, slot: number): Finding[] {
  const state = view.steps[slot];
  const { resolved, live } = countEdges(view, slot);
  if (state === undefined) return findInAbsentStep(view, slot, resolved);
  const found = finder(view, slot);
  if (state.resolved !== resolved || state.live !== live) {
    const counts = `${state.live} live of ${state.resolved} resolved`;
    found('counters_wrong', `counts ${counts} edges; its edges say ${live} of ${resolved}`);
  }
  const isRunning = state.status === 'running';
  if ((state.owner !== null) !== isRunning) found('claim_wrong', `is ${state.status}, owner ${state.owner}`);
  if (isRunning && state.attempt < 1) found('claim_wrong', `is running its attempt ${state.attempt}`);
  const { limit } = view.graph.steps[slot]!.retry;
  if (state.retries > limit && !state.decidedElsewhere)
    found('retries_over_limit', `used ${state.retries} retries of ${limit}`);
  findInJoin(view, state, resolved, live, found);
  for (const fault of faultsOfLoser(view, state)) found('loser_wrong', fault);
  for (const fault of faultsOfCompensation(view, state)) found('compensation_wrong', fault);
  for (const fault of faultsOfUndoing(view, state)) found('compensation_wrong', fault);
  for (const [code, fault] of faultsOfScopes(view, state)) found(code, fault);
  return found.findings;
}

function findInAbsentStep(view: ExecutionView, slot: number, resolved: number): Finding[] {
  const found = finder(view, slot);
  if (isCompensation(view.graph, slot)) return [];
  const isRoot = view.graph.incoming[slot]!.length === 0;
  if (resolved > 0) found('row_missing', `has no row, but ${resolved} resolved edges`);
  else if (isRoot && isUnderWay(view)) found('row_missing', 'is a root without a row');
  else if (isFinalExecution(view.status) && !wasEndedFromAbove(view))
    found('row_missing', 'has no row in a final execution');
  return found.findings;
}

/** An end from above cancels the steps of a scope that there are, and makes no others. */
function wasEndedFromAbove({ scope, status, due }: ExecutionView): boolean {
  return scope !== null && (status === 'cancelled' || due === 'cancelled');
}

function findInJoin(
  view: ExecutionView,
  state: StepState,
  resolved: number,
  live: number,
  found: Finder,
): void {
  const { slot, status } = state;
  const edges = view.graph.incoming[slot]!.length;
  if (edges === 0 || status === 'cancelled' || state.decidedElsewhere) return;
  const { join } = view.graph.steps[slot]!;
  const decision = decideJoin(join, edges, resolved, live);
  const told = `${live} live of ${resolved} resolved of ${edges} edges, join ${join}`;
  const hasOthers = hasOtherInputs(view, state);
  if (resolved === 0 && state.resets === 0 && !hasOthers)
    found('row_too_early', 'has a row, but no resolved edge');
  if (status === 'waiting_inputs') {
    if (decision !== 'wait') found('join_undecided', `still waits for inputs (${told})`);
  } else if (hasOthers) return;
  else if (decision === 'wait' || (decision === 'skip' && status !== 'skipped')) {
    found('join_decided_early', `is ${status} (${told})`);
  }
}

/** Either something can still happen, or the execution is over: always exactly one of the two. */
function findInProgress(view: ExecutionView): Finding[] {
  const found = finder(view, null);
  const states = present(view);
  const settled = states.filter(
    ({ status, slot }) => isFinalStep(status) && !isCompensation(view.graph, slot),
  );
  if (settled.length !== view.settledCount) {
    found('counters_wrong', `counts ${view.settledCount} settled steps; ${settled.length} are`);
  }
  const unhandled = settled.find(
    ({ status, slot }) => status === 'failed' && !view.graph.handlesFailure[slot],
  );
  if (isFinalExecution(view.status)) {
    for (const { status, slot } of states) {
      if (!isFinalStep(status)) finder(view, slot, found.findings)('not_settled', `is still ${status}`);
    }
    if (view.status === 'completed' && unhandled !== undefined) {
      found('failure_overlooked', `is completed, but ${keyOf(view, unhandled.slot)} failed unhandled`);
    }
    return found.findings;
  }
  if (view.status === 'pending' && states.length > 0) found('row_too_early', 'is pending, but has step rows');
  if (isUnderWay(view)) findInRunning(view, settled.length, unhandled, found);
  return found.findings;
}

/** Something goes on in its children, or in scopes of steps that are over. */
function isBusyElsewhere(view: ExecutionView): boolean {
  return view.hasOpenChildren || isUndoing(view) || present(view).some((state) => holdsOpen(state));
}

function findInRunning(
  view: ExecutionView,
  settledCount: number,
  unhandled: StepState | undefined,
  found: Finder,
): void {
  const isCompensating = view.status === 'compensating';
  if (settledCount === view.graph.size && !isCompensating)
    found('not_ended', `is ${view.status} with every step settled`);
  const active = present(view).filter(({ status }) => !isFinalStep(status) && status !== 'waiting_inputs');
  if (active.length === 0 && !isBusyElsewhere(view))
    found('stuck', `is ${view.status}, but no step can move`);
  for (const fault of faultsOfCompensating(view)) found('compensation_wrong', fault);
  if (view.stopRequested !== null || isCompensating) {
    const running = active.filter(
      (state) => !isCompensation(view.graph, state.slot) && (state.status === 'running' || holdsOpen(state)),
    ).length;
    if (running + settledCount < view.graph.size && !wasEndedFromAbove(view)) {
      found('stop_overlooked', 'is being stopped, but a step that does not run is not settled');
    }
  } else if (unhandled !== undefined && !mayGoOn(view)) {
    found('failure_overlooked', `goes on as if ${keyOf(view, unhandled.slot)} had not failed unhandled`);
  }
}

/** An execution goes on after a failure that is recorded, if its other branches run to their end or a retry has left the failed step. */
function mayGoOn(view: ExecutionView): boolean {
  return view.failure !== null && (view.graph.onFailure === 'continue' || isResumed(view));
}

/** A queued step has one ticket in its ready queue, unless its execution is paused, a parked one a timer, every other nothing. */
export function findInJobs(view: ExecutionView, jobs: readonly StepJob[]): Finding[] {
  const byId = new Map(present(view).map((state) => [state.id, state]));
  const missing = new Map([...byId].filter(([, state]) => jobQueueOf(view, state) !== null));
  const findings: Finding[] = [];
  for (const { queue, stepId } of jobs) {
    const state = byId.get(stepId);
    const found = finder(view, state?.slot ?? null, findings);
    if (state === undefined) found('job_stray', `has a job in ${queue} for the unknown step ${stepId}`);
    else if (jobQueueOf(view, state) !== queue)
      found('job_stray', `is ${state.status}, with a job in ${queue}`);
    else if (!missing.delete(stepId)) found('job_twice', `has more than one job in ${queue}`);
  }
  for (const state of missing.values()) {
    if (state.status === 'queued' && view.status === 'paused') continue;
    const message = `is ${state.status}, but has no job in ${jobQueueOf(view, state)}`;
    finder(view, state.slot, findings)('job_missing', message);
  }
  return findings;
}

function jobQueueOf(view: ExecutionView, { status, slot, hasTimer }: StepState): QueueName | null {
  if (status === 'queued') return readyQueue(view.graph, slot);
  return hasTimer && (status === 'waiting' || status === 'retrying') ? 'WorkflowExecutionQueue' : null;
}

/** The tracker has one row for each resolved edge, and no other. */
export function findInInputs(view: ExecutionView, inputs: readonly TrackedInput[]): Finding[] {
  const findings: Finding[] = [];
  const tracked = new Map<string, boolean>();
  for (const { stepId, fromStepId, live } of inputs) {
    const pair = `${fromStepId} ${stepId}`;
    const found = finder(view, null, findings);
    if (tracked.has(pair)) found('input_twice', `has the input ${fromStepId} -> ${stepId} twice`);
    tracked.set(pair, live);
  }
  for (const edge of view.graph.edges) {
    const pair = `${view.steps[edge.from]?.id} ${view.steps[edge.to]?.id}`;
    const live = tracked.get(pair);
    tracked.delete(pair);
    const expected = view.edges[edge.id];
    const actual = live === undefined ? EDGE_OPEN : live ? EDGE_LIVE : EDGE_DEAD;
    if (actual === expected) continue;
    const code = expected === EDGE_OPEN ? 'input_stray' : 'input_missing';
    const words = `${edgeWord(actual)} in the tracker and ${edgeWord(expected)} in truth`;
    finder(view, edge.to, findings)(code, `has the edge from ${keyOf(view, edge.from)} as ${words}`);
  }
  for (const pair of tracked.keys())
    finder(view, null, findings)('input_stray', `has no edge for the input ${pair}`);
  return findings;
}

/** Returns the part of a view to compare with a later view of the same execution. */
export function snapshot(view: ExecutionView): ViewSnapshot {
  const { status, sequence } = view;
  const steps = Array.from(view.steps, (state) => state?.status);
  return { status, sequence, steps, edges: view.edges.slice() };
}

/** Final statuses and resolved edges stay, and the sequence grows by one per commit that changed anything. */
export function findInSuccession(before: ViewSnapshot, view: ExecutionView, changed: boolean): Finding[] {
  const found = finder(view, null);
  if (isFinalExecution(before.status) && (changed || before.status !== view.status)) {
    found('final_changed', `was ${before.status} and changed`);
  }
  if (view.sequence !== before.sequence + (changed ? 1 : 0)) {
    found('sequence_wrong', `went from sequence ${before.sequence} to ${view.sequence}`);
  }
  for (const [slot, was] of before.steps.entries()) {
    const is = view.steps[slot]?.status;
    if (was === undefined || is === was || !isFinalStep(was)) continue;
    finder(view, slot, found.findings)('final_changed', `went from ${was} to ${is}`);
  }
  for (const { id, to } of view.graph.edges) {
    if (before.edges[id] === EDGE_OPEN || before.edges[id] === view.edges[id]) continue;
    finder(view, to, found.findings)('edge_changed', 'has an edge that was resolved twice');
  }
  return found.findings;
}

function countEdges(view: ExecutionView, slot: number): { resolved: number; live: number } {
  const edges = view.graph.incoming[slot]!.map(({ id }) => view.edges[id]);
  return {
    resolved: edges.filter((edge) => edge !== EDGE_OPEN).length,
    live: edges.filter((edge) => edge === EDGE_LIVE).length,
  };
}

/** The states of the steps that have a row. */
function present(view: ExecutionView): StepState[] {
  return view.steps.filter((state) => state !== undefined);
}

function keyOf(view: ExecutionView, slot: number): string {
  return view.graph.steps[slot]!.key;
}

type Finder = ((code: FindingCode, what: string) => void) & { readonly findings: Finding[] };

/** Collects findings about one step, or about the execution. */
function finder(view: ExecutionView, slot: number | null, findings: Finding[] = []): Finder {
  const step = slot === null ? null : keyOf(view, slot);
  const found = (code: FindingCode, what: string): void => {
    const who = step === null ? `Execution ${view.id}` : `Step ${step}`;
    findings.push({ code, step, message: `${who} ${what}.` });
  };
  return Object.assign(found, { findings });
}
