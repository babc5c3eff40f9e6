/**
 * The list of a step's scopes.
 */
import { type Graph, graphAt, pathAt } from '../core/graph.ts';
import type { EngineError } from '../core/problem.ts';
import { slotOf } from '../core/view.ts';
import { readChildrenOfScopes } from '../db/children/tree.ts';
import type { Db } from '../db/connection/client.ts';
import type { ExecutionDetail, StepDetail } from '../db/execution-queries.ts';
import {
  type FoundStep,
  findStep,
  type ListedScope,
  listScopes,
  readParkedSteps,
} from '../db/scopes/list.ts';
import type { TemplateVersion } from '../template/version.ts';
import { decodeCursor, encodeCursor } from './cursor.ts';
import type { ScopeBody, ScopeQuery } from './execution-answers.ts';
import type { HookUrlOf } from './execution-status.ts';
import type { Page } from './page.ts';
import { isoTime } from './steps/answer-parts.ts';
import { type HeldExecution, type QueueWaits, waitBody } from './steps/wait-body.ts';

const DEFAULT_PAGE = 50;
/** The indexes in the path of a scope as it runs: `each[3]/inner[0]`. */
const INDEXES = /\[\d+\]/g;

/** The execution that scopes are of, and the caller's rights. */
export interface ScopeSurroundings {
  readonly execution: HeldExecution & Pick<ExecutionDetail, 'error'>;
  readonly version: TemplateVersion;
  readonly hookUrl: HookUrlOf;
  /** Makes the error of a step that is not there. */
  missing(): EngineError;
}

export async function pageOfScopes(
  db: Db,
  { execution_id: id, step, status = undefined, limit = DEFAULT_PAGE, cursor }: ScopeQuery,
  { execution, version, hookUrl, missing }: ScopeSurroundings,
): Promise<Page<ScopeBody>> {
  const after = cursor === undefined ? null : Number(decodeCursor('scopes', cursor));
  const path = isStep(step) ? step.replaceAll(INDEXES, '') : '';
  const position = version.steps.findIndex((_, at) => pathAt(version.graphs, at) === path);
  const scope = step.includes('/') ? step.slice(0, step.lastIndexOf('/')) : '';
  const holder = position < 0 ? null : await findStep(db, id, scope, version.stepTemplateIds[position]!);
  if (holder === null) throw missing();
  const rows = await listScopes(db, holder.id, { status: status ?? null, after, limit: limit + 1 });
  const listed = rows.slice(0, limit);
  const stepTemplateIds = startersIn(version, position);
  const paths = listed.map(({ path }) => path);
  const children = await readChildrenOfScopes(db, id, { paths, stepTemplateIds });
  const childOf = (path: string) =>
    stepTemplateIds.length === 0 ? {} : { execution_id: children.get(path) ?? null };
  const open = listed.filter((row) => row.status === 'running').map((row) => row.path);
  const parked = await readParkedSteps(db, id, open);
  const data = listed.map((row) => ({
    scope: row.path,
    index: row.index,
    ...childOf(row.path),
    status: row.status,
    waits: waitOf(version, execution, parked.get(row.path), (at) => hookUrl(id, row.path, at)),
    error: row.status === 'cancelled' ? whyCancelled(row, holder, execution) : errorOf(row.error),
    started_at: row.createdAt.toISOString(),
    completed_at: isoTime(row.completedAt),
  }));
  const isLast = rows.length <= limit;
  return { data, next_cursor: isLast ? null : encodeCursor('scopes', String(data.at(-1)!.index)) };
}

/** Returns what the step of a scope waits for; null: none waits. */
function waitOf(
  version: TemplateVersion,
  execution: ScopeSurroundings['execution'],
  step: StepDetail | undefined,
  urlAt: (position: number) => string | null,
): ScopeBody['waits'] {
  if (step === undefined) return null;
  const position = version.positions.get(step.stepTemplateId)!;
  const waiting_for = waitBody(step, {
    execution,
    place: { template: version.name, step: pathAt(version.graphs, position) },
    hookUrl: () => urlAt(position),
    queueWaits: NO_QUEUE_WAITS,
  });
  const { key } = version.steps[position]!.step;
  return { step: key, status: step.status, waiting_for, resume_at: isoTime(step.resumeAt) };
}

const NO_QUEUE_WAITS: QueueWaits = new Map();

/** Returns why a scope was cancelled: it was ended from above, where the reason is known. */
function whyCancelled(
  { error }: ListedScope,
  holder: FoundStep,
  execution: ScopeSurroundings['execution'],
): ScopeBody['error'] {
  const cancelled = (message: string) => ({ code: 'cancelled', message, step: null });
  if (holder.status === 'failed')
    return cancelled(`The step that holds it has failed: ${holder.errorCode} ${holder.error}`);
  const { error: cause } = execution;
  if (holder.status !== 'cancelled' || cause === null) return errorOf(error);
  if (cause.code === 'cancelled') return cancelled(cause.message);
  const where = cause.step === null ? '' : ` at step ${cause.step}`;
  return cancelled(`The execution has failed${where}: ${cause.code} ${cause.message}`);
}

/** Returns the ids of the steps that start children, where scopes of the step in a position name a workflow. */
function startersIn({ graphs, stepTemplateIds }: TemplateVersion, position: number): string[] {
  const graph = graphAt(graphs, position)!;
  const inner = graph.inner[slotOf(graph, position)] ?? [];
  return inner.filter(startsChild).map(({ firstPosition }) => stepTemplateIds[firstPosition]!);
}

function startsChild({ held }: Graph): boolean {
  return held?.scope.pointer.endsWith('/workflow') === true;
}

/** Whether a path leads to a step, and not to a scope. */
function isStep(path: string): boolean {
  return !path.endsWith(']');
}

function errorOf(error: ListedScope['error']): ScopeBody['error'] {
  if (error === null) return null;
  const { code, message, step = null } = error;
  return { code, message, step };
}
