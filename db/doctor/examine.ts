/**
 * The doctor's queries: all invariants that are SQL, checked in one snapshot.
 *
 * They use a connection of their own, so that no slot of a pool is taken; read only, so that no lock is waited for;
 * one snapshot, so that no check sees half of a commit; and a deadline, after which the unanswered checks are named.
 */

import pg from 'pg';
import { type ViewKey, viewKey } from '../../core/view.ts';
import { plainArray } from '../array-literal.ts';
import type { Db } from '../connection/client.ts';
import type { DatabaseWay } from '../connection/features.ts';
import { settingsOfTransaction } from '../connection/lent-client.ts';
import { connectionConfig, isConnectionError, prepareSession } from '../connection/session.ts';
import { OPEN_VIEWS } from '../scopes/open-views.ts';
import { scopeOfStep } from '../scopes/scope.ts';
import { CHILD_INVARIANTS } from './children.ts';
import { DATABASE_INVARIANTS } from './database.ts';
import { ENGINE_INVARIANTS } from './engines.ts';
import { SOURCES, type Source, type SqlInvariant } from './invariant.ts';
import { JOB_INVARIANTS } from './jobs.ts';
import { ROW_INVARIANTS } from './rows.ts';
import { SCOPE_INVARIANTS } from './scopes.ts';
import { WORK_INVARIANTS } from './work.ts';

export const SQL_INVARIANTS: readonly SqlInvariant[] = [
  ...WORK_INVARIANTS,
  ...ENGINE_INVARIANTS,
  ...JOB_INVARIANTS,
  ...ROW_INVARIANTS,
  ...SCOPE_INVARIANTS,
  ...CHILD_INVARIANTS,
  ...DATABASE_INVARIANTS,
];

/** The longest deadline of a snapshot. */
export const LONGEST_MS = 120_000;

export interface Snapshot {
  readonly db: Db;
  /** Milliseconds until the deadline; never below 1. */
  leftMs(): number;
}

export type TakeSnapshot = <T>(deadlineMs: number, work: (snapshot: Snapshot) => Promise<T>) => Promise<T>;

/**
 * Opens a session for snapshots, one after the other. They are read by index alone: stale statistics of tables that have just
 * grown would mislead the planner.
 */
export async function withSnapshots<T>(
  url: string,
  kind: DatabaseWay['session'] | undefined,
  work: (take: TakeSnapshot) => Promise<T>,
): Promise<T> {
  const session = {
    ...kind,
    applicationName: 'engine/doctor',
    statementTimeoutMs: LONGEST_MS,
    byIndex: true,
  };
  const client = new pg.Client(connectionConfig(url, session));
  client.on('error', () => {});
  try {
    await client.connect();
    await prepareSession(client, session);
    return await work(async (deadlineMs, look) => {
      const endsAt = performance.now() + deadlineMs;
      await client.query('begin isolation level repeatable read read only');
      if (kind?.pooled) await client.query(settingsOfTransaction(session));
      await client.query(`set local statement_timeout = ${deadlineMs}`);
      const seen = await look({
        db: client,
        leftMs: () => Math.max(1, Math.round(endsAt - performance.now())),
      });
      await client.query('commit');
      return seen;
    });
  } finally {
    await client.end().catch(() => {});
  }
}

export interface Asked {
  readonly pgbossSchema: string;
  /** Null: the grace of each invariant. */
  readonly graceSeconds: number | null;
  /** Final executions are examined from this id on: ids grow with time. */
  readonly since: string;
  /** Most rows returned; all are counted. */
  readonly most: number;
  /** Limits the check to these executions. */
  readonly executionIds?: readonly string[];
}

export interface Offender {
  readonly id: string;
  readonly executionId: string | null;
  /** Of a step: the view that it is in; left out: the execution's. */
  readonly view?: ViewKey;
  /** Queue of a job. */
  readonly queue: string | null;
  readonly detail: string;
}

export interface Offenders {
  readonly count: number;
  readonly rows: readonly Offender[];
}

/** Returns the rows that break an invariant. */
export async function findOffenders(db: Db, invariant: SqlInvariant, asked: Asked): Promise<Offenders> {
  const { pgbossSchema, graceSeconds, since, most, executionIds } = asked;
  const isForSome = executionIds !== undefined;
  const offenders = invariant.offenders
    .replaceAll('{{pgboss}}', pg.escapeIdentifier(pgbossSchema))
    .replaceAll('{{only}}', isForSome ? 'x.id = any($4::uuid[])' : 'true');
  const only = isForSome ? 'where o.execution_id = any($4::uuid[])' : '';
  const { rows } = await db.query(
    `with asked as (select $1::uuid as since, make_interval(secs => $2::double precision) as grace)
     select o.id::text, o.execution_id::text, to_jsonb(o) ->> 'queue' as queue, to_jsonb(o) ->> 'view' as view, o.detail, count(*) over () as total
       from (${offenders}) o ${only}
      order by 2, 1
      limit $3`,
    [since, graceSeconds ?? invariant.graceSeconds, most, ...(isForSome ? [plainArray(executionIds)] : [])],
  );
  return {
    count: Number(rows[0]?.total ?? 0),
    rows: rows.map((row) => ({
      id: row.id,
      executionId: row.execution_id,
      ...(row.view === null ? {} : { view: row.view as ViewKey }),
      queue: row.queue,
      detail: row.detail,
    })),
  };
}

export interface Unanswered {
  readonly name: string;
  readonly reason: string;
}

export interface Examined {
  readonly offenders: ReadonlyMap<SqlInvariant, Offenders>;
  readonly unanswered: readonly Unanswered[];
}

const QUERY_CANCELED = '57014';
type Answer = Offenders | { readonly error: Error };

/**
 * Checks every invariant; one that is slow or fails does not stop the others. Each gets a
 * share of the time left. Those that ran out of time share the time left over by the others.
 */
export async function examineTables(
  snapshot: Snapshot,
  invariants: readonly SqlInvariant[],
  asked: Asked,
): Promise<Examined> {
  const present = await presentSources(snapshot, asked);
  const inDoubt = invariants.filter(({ from }) => from.every((source) => present.has(source)));
  const answers = await askAll(snapshot, inDoubt, asked);
  const slow = inDoubt.filter((invariant) => isTooSlow(answers.get(invariant)!));
  for (const [invariant, answer] of await askAll(snapshot, slow, asked)) answers.set(invariant, answer);
  const offenders = new Map<SqlInvariant, Offenders>();
  const unanswered: Unanswered[] = [];
  for (const invariant of inDoubt) {
    const answer = answers.get(invariant)!;
    if ('error' in answer) unanswered.push({ name: invariant.name, reason: answer.error.message });
    else if (answer.count > 0) offenders.set(invariant, answer);
  }
  return { offenders, unanswered };
}

/** Returns the sources that have rows; all of them, if that cannot be told. */
async function presentSources(
  { db, leftMs }: Snapshot,
  { pgbossSchema }: Asked,
): Promise<ReadonlySet<Source>> {
  const names = Object.keys(SOURCES) as Source[];
  const columns = names.map((name) => `(${SOURCES[name]}) as ${name}`).join(', ');
  await db.query(`savepoint doctor; set local statement_timeout = ${Math.ceil(leftMs() / 2)}`);
  try {
    const text = `select ${columns}`.replaceAll('{{pgboss}}', pg.escapeIdentifier(pgbossSchema));
    const { rows } = await db.query(text);
    await db.query('release savepoint doctor');
    return new Set(names.filter((name) => rows[0][name]));
  } catch (error) {
    if (isConnectionError(error)) throw error;
    await db.query('rollback to savepoint doctor');
    return new Set(names);
  }
}

function isTooSlow(answer: Answer): boolean {
  return 'error' in answer && (answer.error as { code?: unknown }).code === QUERY_CANCELED;
}

async function askAll(
  { db, leftMs }: Snapshot,
  invariants: readonly SqlInvariant[],
  asked: Asked,
): Promise<Map<SqlInvariant, Answer>> {
  const answers = new Map<SqlInvariant, Answer>();
  for (const [at, invariant] of invariants.entries()) {
    const shareMs = Math.ceil(leftMs() / (invariants.length - at));
    await db.query(`savepoint doctor; set local statement_timeout = ${shareMs}`);
    try {
      answers.set(invariant, await findOffenders(db, invariant, asked));
      await db.query('release savepoint doctor');
    } catch (error) {
      if (isConnectionError(error)) throw error;
      answers.set(invariant, { error: error as Error });
      await db.query('rollback to savepoint doctor');
    }
  }
  return answers;
}

/** An hour may hold millions at a thousand executions a second: this bound keeps the default quick. */
const MAX_RECENT = 20_000;

/**
 * Returns the first id of the executions made in the last `seconds` of the database's clock, at most the newest
 * 20,000.
 * Ids are UUIDv7. Null: all executions.
 */
export async function firstIdOfTheLast(db: Db, seconds: number | null): Promise<string> {
  if (seconds === null) return '00000000-0000-0000-0000-000000000000';
  const { rows } = await db.query(
    `select greatest(
              (lpad(to_hex((extract(epoch from now() - make_interval(secs => $1::double precision)) * 1000)::bigint), 12, '0')
               || '70008000000000000000')::uuid,
              (select id from workflow_executions order by id desc offset $2 limit 1)) as since`,
    [seconds, MAX_RECENT],
  );
  return rows[0].since;
}

export interface ClaimedStep {
  readonly id: string;
  readonly executionId: string;
  readonly view: ViewKey;
  readonly attempt: number;
}

/**
 * Returns running steps held by an engine that have not changed within the grace.
 * Uses workflow_executions_open and, for each of these, workflow_step_executions_scope_step.
 */
export async function stepsHeldBy(db: Db, engineId: string, graceSeconds: number): Promise<ClaimedStep[]> {
  const { rows } = await db.query(
    `select h.id, e.id as execution_id, h.holder_id, h.scope, h.attempt_count
       from ${OPEN_VIEWS} e
       cross join lateral (
         select s.id, s.holder_id, s.scope, s.attempt_count
           from workflow_step_executions s
          where s.workflow_execution_id = e.id and s.scope = e.path and s.status = 'running' and s.claimed_by = $1
            and s.updated_at <= now() - make_interval(secs => $2::double precision)
         offset 0) h`,
    [engineId, graceSeconds],
  );
  return rows.map((row) => ({
    id: row.id,
    executionId: row.execution_id,
    view: viewKey(row.execution_id, scopeOfStep(row.holder_id, row.scope)),
    attempt: row.attempt_count,
  }));
}
