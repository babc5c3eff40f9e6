/**
 * Turns plans of many executions into a fixed, small number of statements.
 *
 * Order: executions (their guard comes first and their rows are locked in id order), scopes, new steps, changed
 * steps, inputs. A statement without rows is left out. Jobs are written by the queue, in the same transaction.
 */
import { jsonText } from '../core/json/parse-in-pieces.ts';
import { hasLimits } from '../core/limits/freed.ts';
import type { Plan, StepChange } from '../core/plan.ts';
import type { DueStatus } from '../core/view.ts';
import { type ActInsert, actsOf, insertActs } from './acts/acts.ts';
import { textArray } from './array-literal.ts';
import {
  attemptStatements,
  collectAttempts,
  collectReset,
  collectStatus,
  type HistoryRows,
  noHistory,
  statusStatements,
} from './attempts/collect.ts';
import { type ChildInsert, childrenOf, insertChildren } from './children/start.ts';
import {
  type ControlRows,
  collectRepair,
  controlledUpdate,
  controlStatements,
  noControlRows,
  repairStatements,
} from './control/control-rows.ts';
import { collectHold, type HoldRows, holdStatements, noHold } from './control/hold-rows.ts';
import { insertReusedSteps, type ReusedInsert } from './control/reused-steps.ts';
import { markLost } from './races/lost-steps.ts';
import {
  collectScopes,
  noScopeRows,
  type ScopeRows,
  scopeStatements,
  scopeStepStatements,
} from './scopes/apply-scopes.ts';
import type { Statement } from './statement.ts';
import { noteEnds } from './stats/ended.ts';
import { claimGrants } from './step-limit.ts';
import { newId } from './uuid.ts';
import {
  type AnsweredStep,
  type CompletedByAnswer,
  completeAnsweredSteps,
  markAnswers,
  type RenewedWait,
  renewWaits,
} from './waits/answered-steps.ts';
import { collectTask, openedForm, renewedWait, type TaskRows } from './waits/collect.ts';
import { type OpenedForm, openForms } from './waits/form.ts';
import { type UsedSignal, useSignals } from './waits/signals.ts';
import { changeTasks, deleteTasks, insertTasks } from './waits/tasks.ts';
import { advanceExecutions, changeExecutions, type ExecutionChange, setDue } from './workflow-execution.ts';
import { type InputInsert, insertInputs, receivedLiteral } from './workflow-input-tracker.ts';
import {
  completeSteps,
  insertSteps,
  type StepCompletion,
  type StepInsert,
  type StepUpdate,
  updateSteps,
} from './workflow-step-execution.ts';

export interface PlanToWrite {
  readonly plan: Plan;
  /** Ids of the step templates, by position. */
  readonly stepTemplateIds: readonly string[];
  /** Outputs of an execution that this plan completes, as JSON text. */
  readonly outputs: string | null;
  /** The plan's execution is inserted in the same transaction: there is no row to guard. */
  readonly isNew: boolean;
}

interface Rows extends TaskRows {
  advance: { id: string; fromSequence: number }[];
  change: ExecutionChange[];
  due: { id: string; due: DueStatus }[];
  hold: HoldRows;
  insert: StepInsert[];
  /** Steps that a fork takes over. */
  reused: ReusedInsert[];
  complete: StepCompletion[];
  update: StepUpdate[];
  /** Steps that an answer completes. */
  answered: CompletedByAnswer[];
  /** Other steps whose wait an answer ended. */
  marked: AnsweredStep[];
  signals: UsedSignal[];
  /** Steps that go on waiting after an answer. */
  renewed: RenewedWait[];
  forms: OpenedForm[];
  inputs: InputInsert[];
  readonly history: HistoryRows;
  /** Null: no plan has to do with scopes. */
  scopes: ScopeRows | null;
  /** Null: no plan starts child executions. */
  children: ChildInsert[] | null;
  /** Steps that have lost a race. */
  lost: string[];
  acts: ActInsert[];
  /** Null: no plan is made by hand. */
  control: ControlRows | null;
}

/** The steps of a plan that become rows between two yields. */
const STEPS_AT_ONCE = 500;

/**
 * Yields now and then, so that the work can be paused: a plan may have thousands of steps.
 * @param at time of the plans; null: the beginning of the transaction (db/clock.ts)
 */
export function* planStatements(
  plans: readonly PlanToWrite[],
  at: string | null,
): Generator<void, Statement[]> {
  const rows: Rows = {
    advance: [],
    change: [],
    due: [],
    hold: noHold(),
    insert: [],
    reused: [],
    complete: [],
    update: [],
    answered: [],
    marked: [],
    signals: [],
    renewed: [],
    forms: [],
    newTasks: [],
    tasks: [],
    tasksOver: [],
    inputs: [],
    history: noHistory(),
    scopes: null,
    children: null,
    granted: [],
    lost: [],
    acts: [],
    control: null,
  };
  for (const written of plans) yield* collect(written, rows);
  const statements: Statement[] = [];
  if (rows.advance.length > 0) statements.push(advanceExecutions(rows.advance, at));
  statements.push(...statusStatements(rows.history, at));
  if (rows.change.length > 0) statements.push(changeExecutions(rows.change, at));
  statements.push(...noteEnds(rows.change));
  if (rows.due.length > 0) statements.push(setDue(rows.due));
  statements.push(...holdStatements(rows.hold, at));
  if (rows.control !== null) statements.push(...repairStatements(rows.control, at));
  if (rows.scopes !== null) statements.push(...scopeStatements(rows.scopes, at));
  yield;
  if (rows.insert.length > 0) statements.push(insertSteps(rows.insert, at));
  if (rows.reused.length > 0) statements.push(insertReusedSteps(rows.reused, at));
  if (rows.scopes !== null) statements.push(...scopeStepStatements(rows.scopes, at));
  yield;
  statements.push(...attemptStatements(rows.history, at));
  if (rows.complete.length > 0) statements.push(completeSteps(rows.complete, at));
  if (rows.update.length > 0) statements.push(updateSteps(rows.update, at));
  if (rows.control !== null) statements.push(...controlStatements(rows.control, at));
  if (rows.answered.length > 0) statements.push(completeAnsweredSteps(rows.answered, at));
  if (rows.marked.length > 0) statements.push(markAnswers(rows.marked));
  if (rows.renewed.length > 0) statements.push(renewWaits(rows.renewed, at));
  if (rows.forms.length > 0) statements.push(openForms(rows.forms, at));
  if (rows.children !== null && rows.children.length > 0) statements.push(insertChildren(rows.children));
  if (rows.lost.length > 0) statements.push(markLost(rows.lost));
  if (rows.signals.length > 0) statements.push(useSignals(rows.signals, at));
  if (rows.newTasks.length > 0) statements.push(insertTasks(rows.newTasks, at));
  if (rows.tasks.length > 0) statements.push(...changeTasks(rows.tasks, at));
  if (rows.tasksOver.length > 0) statements.push(deleteTasks(rows.tasksOver));
  yield;
  if (rows.inputs.length > 0) statements.push(insertInputs(rows.inputs, at));
  if (rows.granted.length > 0) statements.push(claimGrants(rows.granted));
  if (rows.acts.length > 0) statements.push(insertActs(rows.acts, at));
  return statements;
}

function* collect({ plan, stepTemplateIds, outputs, isNew }: PlanToWrite, rows: Rows): Generator<void> {
  const { view } = plan;
  const { scope } = view;
  if (scope === null && !isNew) collectExecution(plan, outputs, rows);
  if (scope !== null || plan.scopes !== null) {
    rows.scopes ??= noScopeRows();
    collectScopes(plan, outputs, rows.scopes);
  }
  collectAttempts(plan, rows.history);
  if (plan.children !== null) {
    rows.children ??= [];
    rows.children.push(...childrenOf(plan));
  }
  if (plan.acts !== null) rows.acts.push(...actsOf(plan));
  if (plan.repair !== null) {
    rows.control ??= noControlRows();
    collectRepair(plan, rows.control);
  }
  let collected = 0;
  for (const [slot, change] of plan.steps) {
    if (change.from === null) {
      const insert = stepInsert(plan, change, stepTemplateIds[change.state.position]!);
      const reused = plan.reused?.get(slot);
      if (reused !== undefined) rows.reused.push({ ...insert, reused });
      else if (scope === null) rows.insert.push(insert);
      else rows.scopes!.steps.push({ ...insert, holderId: scope.holderId, scope: scope.path });
    } else collectChange(plan, change, change.from, rows);
    if (change.claimed && change.state.status === 'running' && hasLimits(view.graph.steps[slot]!))
      rows.granted.push(change.state.id);
    if (change.state.lost) rows.lost.push(change.state.id);
    collected += 1;
    if (collected % STEPS_AT_ONCE === 0) yield;
  }
  for (const { target, producer, live, route } of plan.inputs) {
    collected += 1;
    if (collected % STEPS_AT_ONCE === 0) yield;
    rows.inputs.push({ id: newId(), stepId: target.id, fromStepId: producer.id, live, route });
  }
}

function collectChange(
  plan: Plan,
  change: StepChange,
  from: NonNullable<StepChange['from']>,
  rows: Rows,
): void {
  const { state, output, answerId, usedSignal } = change;
  collectReset(change, rows.history);
  if (change.control !== null) {
    rows.control ??= noControlRows();
    rows.control.steps.push(controlledUpdate(plan, change));
    if (from.status === 'waiting' && state.status !== 'waiting') rows.tasksOver.push(state.id);
    return;
  }
  if (usedSignal !== null) rows.signals.push({ id: usedSignal, stepId: state.id });
  if (plan.view.graph.steps[state.slot]!.type === 'task' && collectTask(plan, change, from, rows)) return;
  if (output !== null && answerId !== null) {
    const { sequence } = plan.view;
    rows.answered.push({ id: state.id, attempt: from.attempt, output: output.json, sequence, answerId });
  } else if (output !== null) rows.complete.push(stepCompletion(plan, change, from));
  else if (answerId !== null && state.status === 'waiting') rows.renewed.push(renewedWait(plan, change));
  else {
    rows.update.push(stepUpdate(plan.view.sequence, change, from));
    if (answerId !== null) rows.marked.push({ id: state.id, answerId });
    if (change.waitingFor?.kind === 'form' && state.status === 'waiting') rows.forms.push(openedForm(change));
  }
}

function collectExecution(plan: Plan, outputs: string | null, rows: Rows): void {
  const { view, fromSequence, fromStatus } = plan;
  collectStatus(plan, rows.history);
  const onlyAdvances =
    view.status === 'running' && fromStatus === 'running' && !plan.stopping && view.failure === null;
  if (onlyAdvances) {
    rows.advance.push({ id: view.id, fromSequence });
    return;
  }
  collectHold(plan, rows.hold);
  if (plan.compensating && view.due !== null) rows.due.push({ id: view.id, due: view.due });
  const error = plan.end === null ? view.failure : plan.end.error;
  rows.change.push({
    id: view.id,
    fromSequence,
    fromStatus,
    status: view.status,
    begun: plan.begun,
    stopping: plan.stopping,
    stopReason: view.stopRequested?.reason ?? null,
    ended: plan.end !== null,
    outputs,
    error: error === null ? null : JSON.stringify(error),
  });
}

function stepInsert({ view }: Plan, { state, received }: StepChange, stepTemplateId: string): StepInsert {
  return {
    id: state.id,
    executionId: view.id,
    stepTemplateId,
    status: state.status,
    required: view.graph.required[state.slot]!,
    received: receivedLiteral(received),
    attempt: state.attempt,
    owner: state.owner,
    sequence: view.sequence,
  };
}

function stepCompletion(
  { view }: Plan,
  change: StepChange,
  from: NonNullable<StepChange['from']>,
): StepCompletion {
  return {
    id: change.state.id,
    attempt: from.attempt,
    owner: from.owner,
    output: change.output!.json,
    routes: change.state.routes === null ? null : textArray(change.state.routes),
    sequence: view.sequence,
  };
}

function stepUpdate(sequence: number, change: StepChange, from: NonNullable<StepChange['from']>): StepUpdate {
  const { state, error, timer } = change;
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
    parked: state.parked,
    sequence,
    received: receivedLiteral(change.received),
    errorCode: error?.code ?? null,
    error: error?.message ?? null,
    errorDetails: error === null ? null : jsonText(error.details),
    timerMs: timer?.afterMs ?? null,
    parkedState: state.status === 'waiting' ? jsonText(change.parkedState) : null,
    hasDeadline: state.hasDeadline,
    deadlineMs: change.deadlineMs,
    waitingFor:
      change.waitingFor === null || state.status !== 'waiting' ? null : JSON.stringify(change.waitingFor),
  };
}
