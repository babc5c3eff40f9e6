/**
 * The list of a step's scopes.
 */
import { type Graph, graphAt, pathAt } from '../core/graph.ts';
import type { EngineError } from '../core/problem.ts';
import { slotOf } from '../core/view.ts';
import { readChildrenOfScopes } from '../db/children/tree.ts';
import type { Db } from '../db/connection/client.ts';
import { findStepId, listScopes } from '../db/scopes/list.ts';
import type { TemplateVersion } from '../template/version.ts';
import { decodeCursor, encodeCursor } from './cursor.ts';
import type { ScopeBody, ScopeQuery } from './execution-answers.ts';
import type { Page } from './page.ts';
import { isoTime } from './steps/answer-parts.ts';

const DEFAULT_PAGE = 50;
/** The indexes in the path of a scope as it runs: `each[3]/inner[0]`. */
const INDEXES = /\[\d+\]/g;

/** @param missing makes the error of a step that is not there */
export async function pageOfScopes(
  db: Db,
  version: TemplateVersion,
  { execution_id: id, step, status = undefined, limit = DEFAULT_PAGE, cursor }: ScopeQuery,
  missing: () => EngineError,
): Promise<Page<ScopeBody>> {
  const after = cursor === undefined ? null : Number(decodeCursor('scopes', cursor));
  const path = isStep(step) ? step.replaceAll(INDEXES, '') : '';
  const position = version.steps.findIndex((_, at) => pathAt(version.graphs, at) === path);
  const scope = step.includes('/') ? step.slice(0, step.lastIndexOf('/')) : '';
  const holderId = position < 0 ? null : await findStepId(db, id, scope, version.stepTemplateIds[position]!);
  if (holderId === null) throw missing();
  const rows = await listScopes(db, holderId, { status: status ?? null, after, limit: limit + 1 });
  const listed = rows.slice(0, limit);
  const stepTemplateIds = startersIn(version, position);
  const paths = listed.map(({ path }) => path);
  const children = await readChildrenOfScopes(db, id, { paths, stepTemplateIds });
  const childOf = (path: string) =>
    stepTemplateIds.length === 0 ? {} : { execution_id: children.get(path) ?? null };
  const data = listed.map((row) => ({
    scope: row.path,
    index: row.index,
    ...childOf(row.path),
    status: row.status,
    error: row.error === null ? null : errorOf(row.error),
    started_at: row.createdAt.toISOString(),
    completed_at: isoTime(row.completedAt),
  }));
  const isLast = rows.length <= limit;
  return { data, next_cursor: isLast ? null : encodeCursor('scopes', String(data.at(-1)!.index)) };
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

function errorOf({ code, message, step = null }: NonNullable<ScopeBody['error']>): ScopeBody['error'] {
  return { code, message, step };
}
