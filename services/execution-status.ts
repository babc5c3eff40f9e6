/**
 * Builds the answer of `status`: an execution with its steps, counted and in the order of the definition. Pure.
 */
import { isCompensation, undoneBy } from '../core/compensation/compensation.ts';
import { graphAt, pathAt } from '../core/graph.ts';
import { type HeldScopes, unopened } from '../core/scopes/held-scopes.ts';
import { isFinalExecution, isFinalStep, type StepStatus } from '../core/status.ts';
import { slotOf } from '../core/view.ts';
import type { ListedChild } from '../db/children/tree.ts';
import type { ExecutionDetail, StepDetail, TrackedInput } from '../db/execution-queries.ts';
import type { TemplateVersion } from '../template/version.ts';
import type {
  ByHandBody,
  CompensationBody,
  ExecutionStatusBody,
  Progress,
  ScopeNumbers,
  StepStatusBody,
} from './execution-answers.ts';
import { isoTime, opened, stepError } from './steps/answer-parts.ts';
import { type OpenInside, openSteps } from './steps/undo-status.ts';
import { type HeldExecution, type QueueWaits, waitBody } from './steps/wait-body.ts';

export interface StatusRows {
  readonly execution: ExecutionDetail;
  /** Of the top level: the progress is theirs. */
  readonly top: readonly StepDetail[];
  /** Of the scope that is asked for. */
  readonly steps: readonly StepDetail[];
  readonly inputs: readonly TrackedInput[];
  /** Numbers of the scopes that steps hold, by the step's id. */
  readonly held: ReadonlyMap<string, HeldScopes>;
  /** Of steps that start child executions. */
  readonly children: readonly ListedChild[];
  readonly queueWaits: QueueWaits;
  /** Steps in scopes that compensations leave open. */
  readonly openInside: OpenInside;
}

/** The URL of the webhook step at a position; null: the caller does not see it. */
export type HookUrlOf = (executionId: string, scope: string, position: number) => string | null;

export interface StatusParts {
  readonly withOutputs: boolean;
  readonly hookUrl: HookUrlOf;
}
/** The step type that starts child executions. */
const CALLING_TYPE = 'workflow';

/** Most steps that are written between two yields. */
const STEPS_AT_ONCE = 100;

/** The answer as JSON, in pieces: payloads are never parsed. Yields now and then, so that it can be paused. */
export function* statusJson(
  version: TemplateVersion,
  rows: StatusRows,
  parts: StatusParts,
): Generator<void, string[]> {
  const { execution } = rows;
  const pieces = [opened(beforePayloads(execution)), ',"inputs":', execution.inputs];
  pieces.push(',"outputs":', execution.outputs ?? 'null', ',', inner(betweenPayloads(version, rows)));
  pieces.push(',"steps":[');
  yield* stepPieces(version, { ...rows, ...splitSteps(version, rows.steps) }, parts, pieces);
  pieces.push('],', `${inner(afterSteps(execution))}}`);
  return pieces;
}

type Body = ExecutionStatusBody;

function beforePayloads(execution: ExecutionDetail) {
  return {
    execution_id: execution.id,
    status: execution.status,
    stop_requested: execution.stopRequested,
    paused_by: execution.pause?.by ?? null,
    template: execution.template,
    version: execution.version,
  } satisfies Partial<Body>;
}

/** The rows of an execution, with compensations apart. */
interface SplitSteps {
  readonly steps: readonly StepDetail[];
  /** By the position of the step that each undoes. */
  readonly compensations: ReadonlyMap<number, StepDetail>;
}

const NO_COMPENSATIONS: ReadonlyMap<number, StepDetail> = new Map();

/** @param rows all of one scope */
function splitSteps({ graphs, positions }: TemplateVersion, rows: readonly StepDetail[]): SplitSteps {
  const positionOf = ({ stepTemplateId }: StepDetail) => positions.get(stepTemplateId)!;
  if (rows.length === 0) return { steps: rows, compensations: NO_COMPENSATIONS };
  const graph = graphAt(graphs, positionOf(rows[0]!));
  if (graph.compensated.length === 0) return { steps: rows, compensations: NO_COMPENSATIONS };
  const at = (row: StepDetail) => slotOf(graph, positionOf(row));
  const undoing = rows.filter((row) => isCompensation(graph, at(row)));
  return {
    steps: rows.filter((row) => !isCompensation(graph, at(row))),
    compensations: new Map(undoing.map((row) => [graph.firstPosition + undoneBy(graph, at(row)), row])),
  };
}

function betweenPayloads(version: TemplateVersion, { execution, top, openInside }: StatusRows) {
  const { steps } = splitSteps(version, top);
  return {
    error: isFinalExecution(execution.status) ? execution.error : null,
    progress: countProgress(version.graph.size, steps),
    ...openSteps(version, execution.status, top, openInside),
  } satisfies Partial<Body>;
}

function afterSteps(execution: ExecutionDetail) {
  return {
    ...placeInTree(execution),
    created_at: execution.createdAt.toISOString(),
    started_at: isoTime(execution.startedAt),
    completed_at: isoTime(execution.completedAt),
    resumed_at: isoTime(execution.resumedAt),
    resume_at: execution.status === 'pending' ? isoTime(execution.startAfter) : null,
  } satisfies Partial<Body>;
}

/** Returns the members of an object as JSON. */
function inner(body: object): string {
  return opened(body).slice(1);
}

const COUNTED_AS: Record<StepStatus, keyof Progress> = {
  waiting_inputs: 'waiting',
  queued: 'queued',
  running: 'running',
  waiting: 'waiting',
  retrying: 'queued',
  completed: 'completed',
  failed: 'failed',
  skipped: 'skipped',
  cancelled: 'cancelled',
};

/** Statuses of steps with a possible timer. */
const WAITS: ReadonlySet<StepStatus> = new Set(['waiting', 'retrying']);

/** Steps without a row yet count as waiting, so the counts add up to `total`. */
function countProgress(total: number, steps: readonly StepDetail[]): Progress {
  const progress = {
    total,
    completed: 0,
    failed: 0,
    skipped: 0,
    cancelled: 0,
    running: 0,
    waiting: 0,
    queued: 0,
  };
  for (const { status } of steps) progress[COUNTED_AS[status]] += 1;
  progress.waiting += total - steps.length;
  return progress;
}

function* stepPieces(
  version: TemplateVersion,
  { execution, steps, compensations, inputs, held, children, queueWaits }: StatusRows & SplitSteps,
  { withOutputs, hookUrl }: StatusParts,
  pieces: string[],
): Generator<void> {
  const keyOf = new Map(steps.map(({ id, stepTemplateId }) => [id, stepKey(version, stepTemplateId)]));
  yield;
  const received = Map.groupBy(inputs, ({ stepId }) => stepId);
  yield;
  const positionOf = ({ stepTemplateId }: StepDetail) => version.positions.get(stepTemplateId)!;
  const ordered = steps.toSorted((a, b) => positionOf(a) - positionOf(b));
  for (const [at, step] of ordered.entries()) {
    if (at % STEPS_AT_ONCE === 0) yield;
    const edges = received.get(step.id) ?? [];
    const position = positionOf(step);
    const url = () => hookUrl(execution.id, step.scope, position);
    const parts = { edges, keyOf, url, held: held.get(step.id), execution, queueWaits };
    const body = withChildren(stepBody(version, position, step, parts), children);
    pieces.push(`${at === 0 ? '' : ','}${opened(body)}`, ',"error":', stepError(step));
    pieces.push(',"compensation":', compensationJson(compensations.get(position)));
    if (withOutputs) pieces.push(',"outputs":', step.outputs ?? 'null');
    pieces.push('}');
  }
}

/** What the answer about a step has besides its row. */
export interface StepSurroundings {
  readonly edges: readonly TrackedInput[];
  /** Keys of steps by their ids. */
  readonly keyOf: ReadonlyMap<string, string>;
  url(): string | null;
  /** The numbers of its scopes, if it holds some. */
  readonly held?: HeldScopes | undefined;
  readonly execution: HeldExecution;
  readonly queueWaits: QueueWaits;
}

/** Its error is JSON already (`stepError`). */
export function stepBody(
  version: TemplateVersion,
  position: number,
  step: StepDetail,
  { edges, keyOf, url, held, execution, queueWaits }: StepSurroundings,
): Omit<StepStatusBody, 'error'> {
  const graph = graphAt(version.graphs, position);
  const slot = slotOf(graph, position);
  const { key, type } = graph.steps[slot]!;
  return {
    id: step.id,
    key,
    type,
    scope: step.scope,
    depth: graph.depth[slot]!,
    status: step.status,
    attempt_count: step.attempt,
    required_inputs: step.required,
    received_inputs: edges.map(({ fromStepId, live, route }) => ({
      key: keyOf.get(fromStepId) ?? '',
      live,
      route,
    })),
    created_at: step.createdAt.toISOString(),
    started_at: isoTime(step.startedAt),
    completed_at: isoTime(step.completedAt),
    resume_at: WAITS.has(step.status) ? isoTime(step.resumeAt) : null,
    waiting_for: waitBody(step, {
      hookUrl: url,
      held,
      execution,
      isCompensation: isCompensation(graph, slot),
      place: { template: version.name, step: pathAt(version.graphs, position) },
      queueWaits,
    }),
    by_hand: handOf(step),
    ...(held === undefined ? {} : { scopes: scopeNumbers(held, isFinalStep(step.status)) }),
    ...(step.reusedFrom === null ? {} : { reused_from: step.reusedFrom }),
  };
}

function handOf({ byHand }: StepDetail): ByHandBody | null {
  return byHand === null ? null : { ...byHand, at: new Date(byHand.at).toISOString() };
}

/** Returns a compensation as JSON; undefined: its step has none, or nothing has undone it yet. */
export function compensationJson(step: StepDetail | undefined): string {
  if (step === undefined) return 'null';
  const { id, status, attempt: attempt_count, completedAt } = step;
  const body = { id, status, attempt_count, completed_at: isoTime(completedAt) } satisfies Omit<
    CompensationBody,
    'error'
  >;
  return `${opened(body)},"error":${stepError(step)}}`;
}

/** Returns the body of a step with its children, if its type starts some. */
export function withChildren<T extends Pick<StepStatusBody, 'id' | 'type'>>(
  body: T,
  children: readonly ListedChild[],
): T {
  if (body.type !== CALLING_TYPE) return body;
  const own = children.filter(({ stepId }) => stepId === body.id);
  return { ...body, children: own.map(({ id, status }) => ({ execution_id: id, status })) };
}

/** Returns the ids of the steps that may have started child executions. */
export function callingSteps(
  { steps: all, positions, waitsForChildren }: TemplateVersion,
  steps: readonly StepDetail[],
): string[] {
  if (!waitsForChildren) return [];
  const calls = ({ stepTemplateId }: StepDetail) =>
    all[positions.get(stepTemplateId)!]!.step.type === CALLING_TYPE;
  return steps.filter(calls).map(({ id }) => id);
}

export function placeInTree({
  parent,
  rootId,
  forkedFrom,
}: Pick<ExecutionDetail, 'parent' | 'rootId' | 'forkedFrom'>) {
  return {
    parent: parent === null ? null : { execution_id: parent.executionId, step_id: parent.stepId },
    root_execution_id: rootId,
    forked_from: forkedFrom,
  };
}

function stepKey(version: TemplateVersion, stepTemplateId: string): string {
  return version.steps[version.positions.get(stepTemplateId)!]!.step.key;
}

/** `waiting` are those that were not opened yet. @param isOver none will be: they count as cancelled */
function scopeNumbers(held: HeldScopes, isOver: boolean): ScopeNumbers {
  const { total, completed, failed, cancelled, open } = held;
  const left = unopened(held);
  const [waiting, ended] = isOver ? [0, cancelled + left] : [left, cancelled];
  return { total, completed, failed, running: open, waiting, cancelled: ended };
}
