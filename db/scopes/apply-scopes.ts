/**
 * The part of plans that concerns scopes, as statements: views that are scopes, and steps that hold some.
 */
import type { Plan } from '../../core/plan.ts';
import type { ScopeStatus } from '../../core/scopes/scope-status.ts';
import type { ScopeId } from '../../core/view.ts';
import type { Statement } from '../statement.ts';
import { insertScopeSteps, type ScopeStepInsert } from '../workflow-step-execution.ts';
import { type HeldWrite, writeHeldScopes } from './held-scopes.ts';
import { insertItems, type StoredItems } from './items.ts';
import { deleteStepsOf, type ReopenedScope } from './reopen.ts';
import { changeScopes, insertScopes, type ScopeChange, type ScopeInsert } from './scope.ts';
import { beginToUndo, changeUndoneScopes, type UndoneScopeChange } from './undo.ts';

export interface ScopeRows {
  readonly insert: ScopeInsert[];
  readonly change: ScopeChange[];
  /** Scopes that a holder begins to undo. */
  readonly toUndo: ScopeId[];
  readonly undone: UndoneScopeChange[];
  readonly reopened: ReopenedScope[];
  readonly held: HeldWrite[];
  readonly items: StoredItems[];
  readonly steps: ScopeStepInsert[];
}

export function noScopeRows(): ScopeRows {
  return { insert: [], change: [], toUndo: [], undone: [], reopened: [], held: [], items: [], steps: [] };
}

/** Adds the rows of a plan. @param outputs of a scope that the plan completes, as JSON text */
export function collectScopes(plan: Plan, outputs: string | null, rows: ScopeRows): void {
  collectView(plan, outputs, rows);
  if (plan.scopes === null) return;
  const { steps } = plan.view;
  for (const slot of plan.scopes.counted) {
    const { id, held } = steps[slot]!;
    rows.held.push({ stepId: id, held: held! });
  }
  for (const { slot, index } of plan.scopes.undone) rows.toUndo.push({ holderId: steps[slot]!.id, index });
  for (const { slot, pieces } of plan.scopes.items) {
    const stepId = steps[slot]!.id;
    for (const { firstIndex, items } of pieces) rows.items.push({ stepId, firstIndex, items: items.json });
  }
}

function collectView(
  { view, fromSequence, fromStatus, end, repair }: Plan,
  outputs: string | null,
  rows: ScopeRows,
): void {
  const { id, scope, sequence } = view;
  // A retry opens it again by a statement of its own.
  if (scope === null || repair !== null) return;
  const { holderId, index, part, run, path } = scope;
  // Its execution is paused: the row of the scope does not say so.
  const status = view.status === 'paused' ? 'running' : (view.status as ScopeStatus);
  const depth = path.split('/').length;
  if (fromStatus === 'compensating') {
    rows.undone.push({ holderId, index, run, status, fromSequence, depth });
    return;
  }
  const error = end === null ? view.failure : end.error;
  const write = {
    holderId,
    index,
    run,
    status,
    outputs,
    error: error === null ? null : JSON.stringify(error),
  };
  if (fromSequence > 0) {
    rows.change.push({ ...write, fromSequence, depth });
    return;
  }
  rows.insert.push({ ...write, executionId: id, path, part, sequence });
  if (run > 1) rows.reopened.push({ executionId: id, path });
}

/** The writes to scopes and their holders. */
export function scopeStatements(rows: ScopeRows, at: string | null): Statement[] {
  const { change, insert, reopened, toUndo, undone, held, items } = rows;
  return [
    ...(change.length > 0 ? [changeScopes(change, at)] : []),
    ...(undone.length > 0 ? [changeUndoneScopes(undone)] : []),
    ...(toUndo.length > 0 ? [beginToUndo(toUndo)] : []),
    ...(reopened.length > 0 ? [deleteStepsOf(reopened)] : []),
    ...(insert.length > 0 ? [insertScopes(insert, at)] : []),
    ...(held.length > 0 ? [writeHeldScopes(held)] : []),
    ...(items.length > 0 ? [insertItems(items)] : []),
  ];
}

/** New steps in scopes. */
export function scopeStepStatements({ steps }: ScopeRows, at: string | null): Statement[] {
  return steps.length > 0 ? [insertScopeSteps(steps, at)] : [];
}
