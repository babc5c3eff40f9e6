/**
 * Statements that remove executions which have been final for long enough.
 *
 * An execution is removed in two steps. First it is marked (`removed_at`, and its idempotency key becomes free): from
 * that commit on it is never read. Then its rows are deleted, edges and scopes first and the execution itself last, a bounded
 * number per statement: an execution of 10,000 steps or 100,000 items takes many short transactions, and a partly deleted one
 * is never returned. The sweep after a killed one finds the mark and continues.
 *
 * Invariant 1: only final executions are marked, after the callback to their `callback_url`; a child not before its parent
 * and the root of its tree.
 * Invariant 2: every statement reads a bounded number of rows, each by index.
 */
import pg from 'pg';
import { plainArray } from './array-literal.ts';
import type { Db, Tx } from './connection/client.ts';
import type { DatabaseFeatures } from './connection/features.ts';
import { tryLockRow } from './connection/named-lock.ts';
import {
  connectionConfig,
  isConnectionError,
  prepareSession,
  type SessionOptions,
} from './connection/session.ts';

/** The advisory lock of the sweep, taken transaction by transaction: one sweep runs at a time. */
const LOCK_CLASS = 1_163_413_830;

type Features = Pick<DatabaseFeatures, 'advisoryLocks' | 'skipLocked' | 'multiMutationCtes'>;
const ALL: Features = { advisoryLocks: true, skipLocked: true, multiMutationCtes: true };

/** Returns whether this transaction may sweep; otherwise another engine is sweeping. */
export async function lockRetention(tx: Tx, { advisoryLocks } = ALL): Promise<boolean> {
  if (!advisoryLocks) return tryLockRow(tx, 'retention');
  const { rows } = await tx.query('select pg_try_advisory_xact_lock($1, 1) as locked', [LOCK_CLASS]);
  return rows[0].locked;
}

export interface Sweep {
  /** Executions that ended before this are removed (an instant of the database's clock, as text). */
  readonly endedBefore: string;
  /** Executions to keep: their callback is still pending, or they cannot be deleted. */
  readonly kept: readonly string[];
  /** Every execution that ended before `endedBefore`, and whose id the engine made, has a smaller id. */
  readonly idsBelow: string;
}

const CALLBACKS = (jobTable: string) => `
  select distinct j.data ->> 'execution_id' as id from ${jobTable} j
   where j.name = 'WorkflowExecutionQueue' and j.data ->> 'kind' = 'callback'
     and j.data ->> 'execution_id' ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'`;

const MOMENT = `
  select (now() - $1 * interval '1 millisecond')::text as ended_before,
         lpad(to_hex(greatest(0, floor(extract(epoch from now()) * 1000 - $1))::bigint), 12, '0') as ms`;

/**
 * Returns the bounds of a sweep. Pending callbacks are read once: an execution that is old enough already
 * cannot get another one.
 * @param jobTable the qualified name of pg-boss's job table
 */
export async function beginSweep(db: Db, retentionMs: number, jobTable: string): Promise<Sweep> {
  const { rows } = await db.query(MOMENT, [retentionMs]);
  const { ended_before: endedBefore, ms } = rows[0];
  const callbacks = await db.query(CALLBACKS(jobTable));
  // UUIDv7 (RFC 9562): the first 48 bits are the milliseconds.
  const idsBelow = `${ms.slice(0, 8)}-${ms.slice(8)}-0000-0000-000000000000`;
  return { endedBefore, idsBelow, kept: callbacks.rows.map(({ id }) => id) };
}

const MAX_SEEN = 5_000;
const MAX_MARKED = 200;
const FINAL = `('completed', 'failed', 'cancelled', 'timed_out')`;
/** A child stays as long as its parent and the root of its tree are there and not due themselves. */
const IS_OLD = `e.status in ${FINAL} and e.completed_at < $3
       and (e.parent_execution_id is null or not exists (
         select from workflow_executions p
          where p.id in (e.parent_execution_id, e.root_execution_id) and p.removed_at is null
            and (p.status not in ${FINAL} or p.completed_at >= $3)))`;
const IS_DUE = `(e.id <> all($4::uuid[]) and (e.removed_at is not null or (${IS_OLD})))`;

const LOOK = `
  with seen as materialized (
    select e.id, ${IS_DUE} as due from workflow_executions e
     where e.id > $1 and e.id < $2 order by e.id limit ${MAX_SEEN})
  select (array_agg(id order by id) filter (where due))[1:${MAX_MARKED}] as due,
         (array_agg(id order by id desc))[1] as last, count(*) = ${MAX_SEEN} as more
    from seen`;

const MARK = (locking: string) => `
  with due as materialized (
    select id from workflow_executions
     where id = any($1::uuid[]) and (removed_at is not null or status in ${FINAL})
     order by id ${locking})
  update workflow_executions e
     set removed_at = coalesce(e.removed_at, now()), idempotency_key = null
    from due where e.id = due.id
  returning e.id`;

const MARK_FREE = MARK('for update skip locked');
/** Portable: the executions are final, so another lock on them is brief. */
const MARK_ALL = MARK('for update');

export interface Marked {
  readonly ids: readonly string[];
  /** Where to continue; null: at the end. */
  readonly next: string | null;
}

/** Marks the next due executions, by id, after `after` and below `below`. Uses the primary key. */
export async function markDue(
  tx: Tx,
  sweep: Sweep,
  after: string,
  below: string,
  { skipLocked } = ALL,
): Promise<Marked> {
  const { rows } = await tx.query(LOOK, [after, below, sweep.endedBefore, plainArray(sweep.kept)]);
  const { due, last, more } = rows[0];
  if (due === null) return { ids: [], next: more ? last : null };
  const marked = await tx.query(skipLocked ? MARK_FREE : MARK_ALL, [plainArray(due)]);
  const isFull = due.length === MAX_MARKED;
  return { ids: marked.rows.map(({ id }) => id), next: isFull ? due.at(-1) : more ? last : null };
}

const MAX_ROWS = 5_000;
const MAX_STEPS = 2_000;

/** Deletes some rows of a table, found by the steps that they belong to. @param key the columns of its primary key */
const DELETE_BY_STEP = (table: string, key: string) => `
  delete from ${table} where (${key}) in (
    select ${key} from (select id as step_id from workflow_step_executions where workflow_execution_id = any($1::uuid[])) s
      join ${table} on step_execution_id = s.step_id limit ${MAX_ROWS})`;

/**
 * Rows of which one step, or one execution, may have any number. A delete of their step would take them along in one
 * statement, whatever their number.
 */
const DELETE_PARTS = [
  DELETE_BY_STEP('workflow_input_tracker', 'id'),
  DELETE_BY_STEP('workflow_scopes', 'step_execution_id, index'),
  DELETE_BY_STEP('workflow_scope_items', 'step_execution_id, first_index'),
  `delete from workflow_signals where id in (
    select id from workflow_signals where workflow_execution_id = any($1::uuid[]) limit ${MAX_ROWS})`,
];

const DELETE_STEPS = `
  with gone as (
    delete from workflow_step_executions where id = any(array(
      select id from workflow_step_executions where workflow_execution_id = any($1::uuid[]) limit ${MAX_STEPS}))
    returning id), grants as (
    delete from workflow_step_grants where step_execution_id in (select id from gone))
  select count(*) as count from gone`;

/** Portable: the same in three statements. */
const SOME_STEPS = `
  select id from workflow_step_executions where workflow_execution_id = any($1::uuid[]) order by id limit ${MAX_STEPS}`;
const DELETE_GRANTS_OF = 'delete from workflow_step_grants where step_execution_id = any($1::uuid[])';
const DELETE_THESE_STEPS = 'delete from workflow_step_executions where id = any($1::uuid[])';

async function deleteSomeSteps(tx: Tx, ids: readonly string[], { multiMutationCtes }: Features) {
  if (multiMutationCtes) {
    const { rows } = await tx.query(DELETE_STEPS, [plainArray(ids)]);
    return Number(rows[0].count);
  }
  const { rows } = await tx.query(SOME_STEPS, [plainArray(ids)]);
  const steps = plainArray(rows.map(({ id }) => id));
  await tx.query(DELETE_GRANTS_OF, [steps]);
  const { rowCount } = await tx.query(DELETE_THESE_STEPS, [steps]);
  return rowCount;
}

const DELETE_EXECUTIONS = `
  delete from workflow_executions where id = any($1::uuid[]) and removed_at is not null`;

/** Deletes some of what belongs to the steps of marked executions; returns whether there may be more. */
export async function deleteParts(tx: Tx, ids: readonly string[]): Promise<boolean> {
  for (const text of DELETE_PARTS) {
    const { rowCount } = await tx.query(text, [plainArray(ids)]);
    if (rowCount === MAX_ROWS) return true;
  }
  return false;
}

/**
 * Deletes some of the steps of marked executions, and with the last of them the executions.
 * @returns the number of executions deleted; null: there are more steps
 */
export async function deleteSteps(tx: Tx, ids: readonly string[], features = ALL): Promise<number | null> {
  if ((await deleteSomeSteps(tx, ids, features)) === MAX_STEPS) return null;
  const { rowCount } = await tx.query(DELETE_EXECUTIONS, [plainArray(ids)]);
  return rowCount ?? 0;
}

const INDEX = 'workflow_input_tracker_from';
const INDEX_STATE = `
  select (select i.indisvalid from pg_index i where i.indexrelid = to_regclass('${INDEX}')) as valid,
         exists (select 1 from pg_stat_progress_create_index p
                  where p.relid = to_regclass('workflow_input_tracker')) as in_progress`;

/**
 * Creates the index by which PostgreSQL finds the edges from a deleted step: without it every deleted step scans
 * all edges. Only where executions are removed: it adds a sixth to the cost of writing an edge.
 * Built concurrently with other work; takes long on a large table.
 * @returns false when another engine is building it
 */
export async function makeRetentionIndex(
  url: string,
  applicationName: string,
  kind: Pick<SessionOptions, 'pooled' | 'portable'> = {},
): Promise<boolean> {
  const session = { ...kind, applicationName, statementTimeoutMs: 0 };
  const client = new pg.Client(connectionConfig(url, session));
  client.on('error', () => {});
  try {
    await client.connect();
    await prepareSession(client, session);
    const { rows } = await client.query(INDEX_STATE);
    if (rows[0].valid === true) return true;
    if (rows[0].in_progress) return false;
    // An interrupted build leaves an invalid index that never becomes valid.
    if (rows[0].valid === false) await client.query(`drop index concurrently if exists ${INDEX}`);
    await client.query(
      `create index concurrently ${INDEX} on workflow_input_tracker (from_step_execution_id)`,
    );
    return true;
  } catch (error) {
    if (isConnectionError(error) || !isTaken(error)) throw error;
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}

/** SQLSTATEs of losing to another engine: the name is taken, a lock is held, a deadlock. */
function isTaken(error: unknown): boolean {
  return ['42P07', '23505', '55P03', '40P01', '42704'].includes(String((error as { code?: unknown }).code));
}
