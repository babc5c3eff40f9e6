/**
 * Where the time of finished steps went, from what is stored of them.
 *
 * What cannot be told apart is null: the wait for a limit and that for an engine where a step has limits, and the parts of a
 * wait that a step left again on an engine.
 */
import { decideJoin } from '../../core/join.ts';
import type { Join } from '../../core/template.ts';
import type { Db } from '../../db/connection/client.ts';
import { readSpent, type SpentRow } from '../../db/explain/spent.ts';
import type { TemplateVersion } from '../../template/version.ts';
import type { SpentBody } from './answers.ts';
import type { ExplainedView } from './explained-view.ts';

/** @param slots of steps that are final */
export async function readHistory(
  db: Db,
  version: TemplateVersion,
  { graph, rows }: ExplainedView,
  slots: readonly number[],
): Promise<SpentBody[]> {
  const finished = slots.map((slot) => ({ slot, row: rows[slot]! }));
  const spent = await readSpent(
    db,
    finished.map(({ row }) => row.id),
  );
  return finished.map(({ slot, row }) => {
    const { limits } = version.steps[graph.firstPosition + slot]!;
    const { key, join } = graph.steps[slot]!;
    const { id, scope, status } = row;
    const readyAt = readyOf(spent.get(id)!, join, graph.incoming[slot]!.length);
    return { id, key, scope, status, ...spentOf(spent.get(id)!, readyAt, limits !== null) };
  });
}

/** Returns when the join was decided so that the step could begin; null: it never was. */
function readyOf(
  { createdAt, resolved, live, lastAt, enoughAt }: SpentRow,
  join: Join,
  edges: number,
): number | null {
  if (edges === 0) return createdAt;
  if (decideJoin(join, edges, resolved, live) !== 'fire') return null;
  return join === 'all' ? lastAt : enoughAt;
}

function spentOf(
  row: SpentRow,
  readyAt: number | null,
  hasLimits: boolean,
): Pick<SpentBody, 'waited' | 'ran_ms'> {
  const { createdAt, startedAt, completedAt } = row;
  const queued = readyAt === null ? 0 : (startedAt ?? completedAt) - readyAt;
  // The wait for a limit and that for an engine are not told apart.
  const isShared = hasLimits && queued > 0;
  const inputs_ms = span((readyAt ?? completedAt) - createdAt);
  const queue = { limit_ms: isShared ? null : 0, worker_ms: isShared ? null : span(queued) };
  return { waited: { inputs_ms, ...queue, ...afterStart(row) }, ran_ms: ranOf(row) };
}

function afterStart({ attempts, parkedAt, isAnswered, startedAt, completedAt }: SpentRow) {
  const isOne = attempts <= 1;
  if (startedAt === null) return { backoff_ms: 0, parked_ms: 0 };
  const parked = parkedAt === null ? 0 : isAnswered ? span(completedAt - parkedAt) : null;
  return { backoff_ms: isOne ? 0 : null, parked_ms: isOne ? parked : null };
}

function ranOf({ attempts, parkedAt, isAnswered, startedAt, completedAt }: SpentRow): number | null {
  if (startedAt === null) return 0;
  if (attempts > 1) return null;
  if (parkedAt === null) return span(completedAt - startedAt);
  return isAnswered ? span(parkedAt - startedAt) : null;
}

/** Times of several engines' commits may differ by a little. */
function span(ms: number): number {
  return Math.max(0, Math.round(ms));
}
