/**
 * The list of executions: filters, orders, a text to look for, and pages.
 *
 * With `q` the executions come first whose id, key, tag, template or error code is exactly the text; those that have it as a
 * part of one come after them. Each kind is in the order of the list. When too many are exactly so, there is one kind.
 */
import { EngineError } from '../../core/problem.ts';
import { isFinalExecution } from '../../core/status.ts';
import type { Db } from '../../db/connection/client.ts';
import {
  LIST_BOUNDS,
  type ListBounds,
  type ListedExecution,
  listExecutions,
} from '../../db/executions/list.ts';
import type {
  ExecutionListFilter,
  FoundNames,
  ListKey,
  ListOrder,
} from '../../db/executions/list-conditions.ts';
import { executionsNamed, templatesLike, templatesNamed } from '../../db/executions/names.ts';
import type { Caller } from '../caller.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import type { ExecutionFilter, ExecutionListItem } from '../execution-answers.ts';
import { placeInTree } from '../execution-status.ts';
import type { Page } from '../page.ts';
import { isoTime } from '../steps/answer-parts.ts';

const DEFAULT_PAGE = 50;

/** `exact` and `part` follow one another; `any`: all in one. */
type Phase = 'exact' | 'part' | 'any';

/** A place in the list. */
interface Place {
  readonly phase: Phase;
  readonly after: ListKey | null;
}

/** A list that was asked for. */
interface Asked {
  readonly filter: ExecutionListFilter;
  readonly order: ListOrder;
  readonly limit: number;
  readonly q: string | null;
  /** Ids of the versions of the template; null: any. */
  readonly templates: readonly string[] | null;
  readonly bounds: ListBounds;
}

/** @throws EngineError('validation_failed') for a cursor of another list, or an order that so many rows do not have */
export async function pageOfExecutions(
  db: Db,
  caller: Caller,
  { workspace_id, cursor, limit = DEFAULT_PAGE, q, sort, template, ...rest }: ExecutionFilter,
  bounds: ListBounds = LIST_BOUNDS,
): Promise<Page<ExecutionListItem>> {
  const workspaceId = caller.admin ? workspace_id : (caller.workspaceId ?? undefined);
  const filter = { ...rest, workspaceId };
  const order = orderOf(rest, sort);
  const place = cursor === undefined ? null : readPlace(order, cursor);
  const templates = template === undefined ? null : await templatesNamed(db, template, workspaceId);
  if (templates?.length === 0) return { data: [], next_cursor: null };
  const asked: Asked = { filter, order, limit, q: q ?? null, templates, bounds };
  const { rows, next } = await (q === undefined ? readAll(db, asked, place) : search(db, asked, place));
  return { data: rows.map(item), next_cursor: next === null ? null : writePlace(order, next) };
}

function orderOf({ parent, root }: ExecutionFilter, sort: ExecutionFilter['sort']): ListOrder {
  if (sort === 'duration') return 'duration';
  return parent === undefined && root === undefined ? 'created' : 'id';
}

interface Found {
  readonly rows: readonly ListedExecution[];
  readonly next: Place | null;
}

async function readAll(db: Db, asked: Asked, place: Place | null): Promise<Found> {
  const names = { templates: asked.templates, part: null, only: null, without: [] };
  return readPhase(db, asked, names, { phase: 'any', after: place?.after ?? null });
}

async function search(db: Db, asked: Asked, place: Place | null): Promise<Found> {
  const text = asked.q!;
  const { workspaceId } = asked.filter;
  const ofName = await templatesNamed(db, text, workspaceId);
  const exact = place?.phase === 'any' ? null : await executionsNamed(db, text, ofName, asked.bounds.exact);
  const { templates } = asked;
  const part = { text, templates: await templatesLike(db, text, workspaceId) };
  if (exact === null && place?.phase !== 'part')
    return readPhase(
      db,
      asked,
      { templates, part, only: null, without: [] },
      { phase: 'any', after: place?.after ?? null },
    );
  const found = place?.phase === 'part' ? NOTHING : await readExact(db, asked, exact ?? [], place);
  if (found.next !== null) return found;
  const left = asked.limit - found.rows.length;
  const after = place?.phase === 'part' ? place.after : null;
  const names = { templates, part, only: null, without: exact ?? [] };
  const parts = await readPhase(db, { ...asked, limit: Math.max(1, left) }, names, { phase: 'part', after });
  if (left > 0) return { rows: [...found.rows, ...parts.rows], next: parts.next };
  const hasParts = parts.rows.length > 0 || parts.next !== null;
  return { rows: found.rows, next: hasParts ? { phase: 'part', after: null } : null };
}

const NOTHING: Found = { rows: [], next: null };

async function readExact(
  db: Db,
  asked: Asked,
  exact: readonly string[],
  place: Place | null,
): Promise<Found> {
  if (exact.length === 0) return NOTHING;
  const names = { templates: asked.templates, part: null, only: exact, without: [] };
  return readPhase(db, asked, names, { phase: 'exact', after: place?.after ?? null });
}

async function readPhase(
  db: Db,
  { filter, order, limit, bounds }: Asked,
  names: FoundNames,
  { phase, after }: Place,
): Promise<Found> {
  const result = await listExecutions(db, { filter, names, order, after, limit }, bounds);
  if (result === null) throw notSorted(bounds);
  return { rows: result.rows, next: result.next === null ? null : { phase, after: result.next } };
}

function notSorted({ sorted }: ListBounds): EngineError {
  const message = `More than ${sorted} executions have this parent or root; without sort=duration they are listed in pages.`;
  return new EngineError('validation_failed', message, [{ pointer: '/sort', code: 'too_big', message }]);
}

function writePlace(order: ListOrder, { phase, after }: Place): string {
  const { micros, id } = after ?? { micros: '', id: '' };
  return encodeCursor('executions', `${order}:${phase}:${micros}:${id}`);
}

function readPlace(order: ListOrder, cursor: string): Place {
  const [ofOrder, phase, micros, id] = decodeCursor('executions', cursor).split(':');
  if (ofOrder !== order) {
    const message = 'This cursor is of a list in another order; give the same sort, or leave the cursor out.';
    throw new EngineError('validation_failed', message, [
      { pointer: '/cursor', code: 'invalid_cursor', message },
    ]);
  }
  return { phase: phase as Phase, after: id === '' ? null : { micros: micros!, id: id! } };
}

function item(row: ListedExecution): ExecutionListItem {
  return {
    execution_id: row.id,
    status: row.status,
    template: row.template,
    version: row.version,
    workspace_id: row.workspaceId,
    user_id: row.userId,
    tags: [...row.tags],
    error: isFinalExecution(row.status) ? row.error : null,
    created_at: row.createdAt.toISOString(),
    started_at: isoTime(row.startedAt),
    completed_at: isoTime(row.completedAt),
    ...placeInTree(row),
  };
}
