/**
 * Where the time of finished steps went, from what is stored of them.
 *
 * Times that cannot be told apart are null: the wait for a limit and that for an engine where a step has limits, and the waits of a
 * step that left its process more than once, or went on after a wait.
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
    const { key, join, type } = graph.steps[slot]!;
    const { id, scope, status } = row;
    const readyAt = readyOf(spent.get(id)!, join, graph.incoming[slot]!.length);
    return {
      id,
      key,
      scope,
      status,
      ...spentOf(spent.get(id)!, readyAt, { type, hasLimits: limits !== null }),
    };
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
  { type, hasLimits }: { readonly type: string; readonly hasLimits: boolean },
): Pick<SpentBody, 'waited' | 'ran_ms'> {
  const { createdAt, startedAt, completedAt } = row;
  const queued = readyAt === null ? 0 : (startedAt ?? completedAt) - readyAt;
  // The wait for a limit and that for an engine are not told apart.
  const isShared = hasLimits && queued > 0;
  const inputs_ms = span((readyAt ?? completedAt) - createdAt);
  const queue = { limit_ms: isShared ? null : 0, worker_ms: isShared ? null : span(queued) };
  const { ran_ms, ...rest } = afterStart(row, type);
  return { waited: { inputs_ms, ...queue, ...rest }, ran_ms };
}

/** Built-in types whose handlers never leave the process in the middle of an attempt. */
const NEVER_PARKED = new Set([
  'noop',
  'merge',
  'transform',
  'switch',
  'http',
  'script',
  'email',
  'log',
  'fail',
]);

/** Of a step that may have left the process only its last wait is stored. */
function afterStart(
  row: SpentRow,
  type: string,
): { backoff_ms: number | null; parked_ms: number | null; ran_ms: number | null } {
  const { attempts, startedAt, lastStartedAt, completedAt, parkedAt, isAnswered, earlierMs } = row;
  if (startedAt === null || lastStartedAt === null) return { backoff_ms: 0, parked_ms: 0, ran_ms: 0 };
  const together = earlierMs === null ? null : earlierMs + completedAt - lastStartedAt;
  const backoff = attempts <= 1 ? 0 : together === null ? null : span(completedAt - startedAt - together);
  if (NEVER_PARKED.has(type) || (attempts <= 1 && parkedAt === null))
    return { backoff_ms: backoff, parked_ms: 0, ran_ms: together === null ? null : span(together) };
  const isKnown = attempts <= 1 && parkedAt !== null && isAnswered;
  if (!isKnown) return { backoff_ms: backoff, parked_ms: null, ran_ms: null };
  return { backoff_ms: 0, parked_ms: span(completedAt - parkedAt), ran_ms: span(parkedAt - startedAt) };
}

/** Times of several engines' commits may differ by a little. */
function span(ms: number): number {
  return Math.max(0, Math.round(ms));
}
