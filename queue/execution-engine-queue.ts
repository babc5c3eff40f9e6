/**
 * Jobs: "begin this execution", "this step is ready", "this timer is due". State is in the rows.
 *
 * pg-boss writes and deletes jobs through the caller's transaction. On the hot path its statements are captured
 * instead of run, so that they go to the server in one batch with their transition.
 *
 * These statements are planned each time: a plan made while a queue was empty may use any of a job table's many
 * indexes, and was measured at 35 ms for a statement of 1 ms once 20,000 jobs were there.
 *
 * Invariant: a job that could not be inserted fails its transaction (no ticket is lost silently).
 */
import type { JobInsert, PgBoss } from 'pg-boss';
import type { Job, JobData, QueueName } from '../core/jobs.ts';
import { plainArray } from '../db/array-literal.ts';
import type { Db } from '../db/connection/client.ts';
import type { Statement } from '../db/statement.ts';
import { isUuid } from '../db/uuid.ts';

export interface FetchedJob {
  readonly queue: QueueName;
  readonly id: string;
  readonly data: JobData;
  readonly retryCount: number;
  readonly priority: number;
}

export class ExecutionEngineQueue {
  readonly #boss: PgBoss;
  readonly #table: string;
  readonly #unlocked: string | null;

  /**
   * @param table pg-boss's job table
   * @param locksFetched false where the database has no SKIP LOCKED: fetching only reads there
   */
  constructor(boss: PgBoss, table: string, locksFetched = true) {
    this.#boss = boss;
    this.#table = table;
    this.#unlocked = locksFetched ? null : table;
  }

  /** Returns whether fetched jobs are locked until the end of the transaction. */
  get locksFetched(): boolean {
    return this.#unlocked === null;
  }

  /**
   * Returns the statements that insert jobs; each fails its transaction when a job is refused.
   * @param sinceBeginMs milliseconds between the transaction's beginning and the time from which jobs are delayed
   */
  async insertStatements(jobs: readonly Job[], sinceBeginMs = 0): Promise<Statement[]> {
    return Promise.all(
      groupByQueue(jobs).map(([queue, list]) => this.#insertStatement(queue, list, sinceBeginMs)),
    );
  }

  async #insertStatement(queue: QueueName, jobs: readonly Job[], sinceBeginMs: number): Promise<Statement> {
    const taken = takeDown();
    await this.#boss.insert(
      queue,
      jobs.map((job) => toInsert(job, sinceBeginMs)),
      { db: taken.db, returnId: true },
    );
    const { text, values } = taken.statement();
    return {
      text: `with inserted as (${text}) select 1 / (count(*) = $2::bigint)::integer from inserted`,
      values: [...values, jobs.length],
    };
  }

  /**
   * Returns the statements that delete jobs by id. A job that is already gone is fine: the row decides. A job locked
   * by another engine's fetch is skipped: that engine drops it when it finds nothing left to do, at once or after it
   * has put the job back because the execution was locked. Waiting for it here, with the execution locked, would
   * deadlock. (Portable backends: an engine locks the execution before it takes a job, so there is no wait.)
   */
  async deleteStatements(jobs: readonly { queue: QueueName; id: string }[]): Promise<Statement[]> {
    return Promise.all(
      groupByQueue(jobs).map(async ([queue, list]) => {
        const taken = takeDown();
        await this.#boss.deleteJob(
          queue,
          list.map(({ id }) => id),
          { db: taken.db },
        );
        return this.locksFetched ? passingOverLocked(taken.statement()) : taken.statement();
      }),
    );
  }

  /** Replaces a job by another one, or by none. Changes nothing when the job was already taken. */
  async replace(tx: Db, job: { queue: QueueName; id: string }, by: Job | null): Promise<void> {
    const [deletion] = await this.deleteStatements([job]);
    const { rows } = await tx.query(deletion!);
    if (by === null || Number(rows[0]?.count ?? 1) === 0) return;
    for (const statement of await this.insertStatements([by])) await tx.query(statement);
  }

  /** Fetches due jobs inside the caller's transaction; a rollback leaves them for the next fetch. */
  async fetch(tx: Db, queue: QueueName, limit: number, minPriority?: number): Promise<FetchedJob[]> {
    if (this.#unlocked !== null) return readDue(tx, this.#unlocked, queue, limit, minPriority);
    const jobs = await this.#boss.fetch<JobData>(queue, {
      batchSize: limit,
      includeMetadata: true,
      db: adapter(tx),
      ...(minPriority === undefined ? {} : { minPriority }),
    });
    return jobs.map(({ id, data, retryCount, priority }) => ({
      queue,
      id,
      data: readData(data),
      retryCount,
      priority,
    }));
  }

  /** Returns those of the jobs read that are still there; their executions must be locked. */
  async stillThere(tx: Db, jobs: readonly FetchedJob[]): Promise<FetchedJob[]> {
    if (jobs.length === 0) return [];
    const { rows } = await tx.query(
      `select id from ${this.#unlocked} where name = any($1::text[]) and id = any($2::uuid[])`,
      [[...new Set(jobs.map(({ queue }) => queue))], plainArray(jobs.map(({ id }) => id))],
    );
    const there = new Set(rows.map(({ id }) => id));
    return jobs.filter(({ id }) => there.has(id));
  }

  /** Returns those of the ids that jobs in the queues have. */
  async thoseThere(tx: Db, queues: readonly QueueName[], ids: readonly string[]): Promise<Set<string>> {
    if (ids.length === 0) return new Set();
    const { rows } = await tx.query(
      `select id from ${this.#table} where name = any($1::text[]) and id = any($2::uuid[])`,
      [queues, plainArray(ids)],
    );
    return new Set(rows.map(({ id }) => id));
  }

  /** Deletes fetched jobs in the transaction that fetched them, fenced to the fetched attempt. */
  async consume(tx: Db, jobs: readonly FetchedJob[]): Promise<void> {
    for (const [queue, list] of groupByQueue(jobs)) {
      if (!this.locksFetched) {
        await this.#boss.deleteJob(
          queue,
          list.map(({ id }) => id),
          { db: adapter(tx) },
        );
        continue;
      }
      await this.#boss.deleteJob(
        queue,
        list.map(({ id, retryCount }) => ({ id, retryCount })),
        { db: adapter(tx) },
      );
    }
  }

  /**
   * Delays a job by 30 s under a singleton key. The last safety net: a ticket for a step that is not ready
   * should not exist.
   */
  async defer(tx: Db, job: FetchedJob, key: string): Promise<void> {
    const later: JobInsert<JobData> = {
      data: job.data,
      startAfter: DEFER_SECONDS,
      singletonKey: key,
      singletonSeconds: DEFER_SECONDS,
    };
    await this.#boss.insert(job.queue, [later], { db: adapter(tx) });
  }
}

const DEFER_SECONDS = 30;

/** Reads the jobs that pg-boss would fetch, in its order, unchanged. */
async function readDue(
  tx: Db,
  table: string,
  queue: QueueName,
  limit: number,
  minPriority: number | undefined,
): Promise<FetchedJob[]> {
  const { rows } = await tx.query(
    `select id, data, retry_count, priority from ${table}
      where name = $1 and state < 'active' and not blocked and start_after <= now()
        and ($3::integer is null or priority >= $3)
      order by priority desc, created_on, id
      limit $2`,
    [queue, limit, minPriority ?? null],
  );
  return rows.map(({ id, data, retry_count: retryCount, priority }) => ({
    queue,
    id,
    data: readData(data),
    retryCount,
    priority,
  }));
}

const KINDS: ReadonlySet<unknown> = new Set([
  'start',
  'step',
  'timer',
  'step_deadline',
  'signals',
  'task_lease',
  'callback',
  'deadline',
  'stop_overdue',
  'inbox',
]);

/** The name of a scope: its holder and its index. */
const SCOPE = /^[0-9a-f-]{36}\[\d{1,9}\]$/;

function readData(stored: unknown): JobData {
  const { kind, execution_id, step_id, scope } = (stored ?? {}) as Record<string, unknown>;
  const ofStep = kind === 'step' || kind === 'timer' || kind === 'step_deadline' || kind === 'task_lease';
  const isOfView = scope === undefined || (typeof scope === 'string' && SCOPE.test(scope));
  const isKnown = KINDS.has(kind) && isUuid(execution_id) && (!ofStep || isUuid(step_id)) && isOfView;
  return isKnown ? (stored as JobData) : { kind: 'unknown', stored };
}

function toInsert(job: Job, sinceBeginMs: number): JobInsert<JobData> {
  const { startAfter } = job;
  const data = job.data.kind === 'unknown' ? (job.data.stored as JobData) : job.data;
  const insert: JobInsert<JobData> = { id: job.id, data, priority: job.priority };
  if (startAfter === null) return insert;
  const startsAt = typeof startAfter === 'number' ? (startAfter + sinceBeginMs) / 1000 : startAfter;
  return { ...insert, startAfter: startsAt };
}

function groupByQueue<T extends { queue: QueueName }>(jobs: readonly T[]): [QueueName, T[]][] {
  const groups = new Map<QueueName, T[]>();
  for (const job of jobs) {
    const group = groups.get(job.queue);
    if (group === undefined) groups.set(job.queue, [job]);
    else group.push(job);
  }
  return [...groups];
}

function adapter(tx: Db) {
  return { executeSql: async (text: string, values?: unknown[]) => tx.query(text, values) };
}

const BY_ID = /DELETE FROM (\S+)(\s+)WHERE name = \$1\s+AND id = ANY\(\$2::uuid\[\]\)/;

/** pg-boss's deletion by id, limited to unlocked jobs. */
function passingOverLocked({ text, values }: Statement): Statement {
  if (!BY_ID.test(text)) throw new Error('pg-boss deletes jobs in a way that this version does not know');
  const mine = 'select ctid from $1 where name = $$1 and id = any($$2::uuid[]) for update skip locked';
  return {
    text: text.replace(BY_ID, `DELETE FROM $1$2WHERE ctid = any(array(${mine})) AND name = $$1`),
    values,
  };
}

/** A database that captures the one statement it is given and runs nothing. */
function takeDown() {
  let taken: { text: string; values: unknown[] } | null = null;
  return {
    db: {
      executeSql: async (text: string, values: unknown[] = []) => {
        taken = { text, values };
        return { rows: [{ count: 0, ids: [], retained: 0 }] };
      },
    },
    statement: () => {
      if (taken === null) throw new Error('pg-boss sent no statement where exactly one was expected');
      return taken;
    },
  };
}
