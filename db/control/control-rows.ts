/**
 * The part of plans that are made by hand, as statements: steps that are reset or ended, and what a retry takes away.
 */
import { jsonText } from '../../core/json/parse-in-pieces.ts';
import type { Plan, StepChange } from '../../core/plan.ts';
import type { ScopeId } from '../../core/view.ts';
import { textArray } from '../array-literal.ts';
import type { Statement } from '../statement.ts';
import { receivedLiteral } from '../workflow-input-tracker.ts';
import { type ControlledUpdate, controlSteps } from './control-steps.ts';
import {
  deleteInputs,
  deleteScopes,
  deleteSteps,
  type ReopenedEdge,
  type ReopenedHook,
  type ReopenedScopeRow,
  reopenHooks,
  reopenScopes,
  resumeExecutions,
} from './repair.ts';

export interface ControlRows {
  /** Executions that go on. */
  readonly resumed: string[];
  readonly scopes: ReopenedScopeRow[];
  readonly edges: ReopenedEdge[];
  /** Compensations that are gone. */
  readonly removed: string[];
  /** Steps whose scopes are gone. */
  readonly discarded: string[];
  /** Webhook steps whose URL takes a request again. */
  readonly hooks: ReopenedHook[];
  readonly steps: ControlledUpdate[];
}

export function noControlRows(): ControlRows {
  return { resumed: [], scopes: [], edges: [], removed: [], discarded: [], hooks: [], steps: [] };
}

/** Adds what a retry changes besides steps. */
export function collectRepair({ view, repair, fromSequence, steps: changed }: Plan, rows: ControlRows): void {
  const { reopened, removed, discarded } = repair!;
  const { scope, steps } = view;
  if (scope === null) rows.resumed.push(view.id);
  else rows.scopes.push({ ...scopeIdOf(scope), run: scope.run, fromSequence, depth: depthOf(scope.path) });
  for (const { target, producer } of reopened)
    rows.edges.push({ stepId: target.id, fromStepId: producer.id });
  rows.removed.push(...removed);
  rows.discarded.push(...discarded.map((slot) => steps[slot]!.id));
  for (const { state, control } of changed.values())
    if (control?.isReset && view.graph.steps[state.slot]!.type === 'webhook')
      rows.hooks.push({ executionId: view.id, stepId: state.id });
}

function scopeIdOf({ holderId, index }: ScopeId): ScopeId {
  return { holderId, index };
}

function depthOf(path: string): number {
  return path.split('/').length;
}

/** Returns the row of a step that is changed by hand. */
export function controlledUpdate(plan: Plan, change: StepChange): ControlledUpdate {
  const { state, output, error, control, waitingFor, deadlineMs } = change;
  const { byHand, isReset } = control!;
  const from = change.from!;
  const isWaiting = state.status === 'waiting';
  return {
    id: state.id,
    fromStatus: from.status,
    fromAttempt: from.attempt,
    fromOwner: from.owner,
    status: state.status,
    attempt: state.attempt,
    retries: state.retries,
    crashes: state.crashes,
    owner: state.owner,
    sequence: plan.view.sequence,
    isReset,
    resets: state.resets,
    keyNumber: state.keyNumber,
    received: receivedLiteral(change.received),
    output: output?.json ?? null,
    routes: state.routes === null ? null : textArray(state.routes),
    errorCode: error?.code ?? null,
    error: error?.message ?? null,
    errorDetails: error === null ? null : jsonText(error.details),
    waitingFor: isWaiting && waitingFor !== null ? JSON.stringify(waitingFor) : null,
    deadlineMs: isWaiting ? deadlineMs : null,
    byHand: byHand === null ? null : JSON.stringify({ act: byHand.act, by: byHand.by }),
  };
}

/** The writes that come before those of scopes and steps. */
export function repairStatements(rows: ControlRows, at: string | null): Statement[] {
  const { resumed, scopes, edges, removed, discarded, hooks } = rows;
  return [
    ...(resumed.length > 0 ? [resumeExecutions(resumed, at)] : []),
    ...(scopes.length > 0 ? [reopenScopes(scopes)] : []),
    ...(edges.length > 0 ? [deleteInputs(edges)] : []),
    ...(hooks.length > 0 ? [reopenHooks(hooks)] : []),
    ...(removed.length > 0 ? [deleteSteps(removed)] : []),
    ...(discarded.length > 0 ? deleteScopes(discarded) : []),
  ];
}

/** The changes of steps. */
export function controlStatements({ steps }: ControlRows, at: string | null): Statement[] {
  return steps.length > 0 ? [controlSteps(steps, at)] : [];
}
