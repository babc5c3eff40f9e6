/**
 * Jobs: "this execution is to be begun", "this step is ready", "this timer is due". State is in the rows.
 *
 * pg-boss writes and deletes jobs through the caller's transaction. On the hot path its statements are taken
 * down instead of run, so that they go to the server in one piece with the transition they belong to.
 *
 * These statements are planned each time: a plan made while a queue was empty may take any of a job table's many
 * indexes, and it was measured at 35 ms for what takes 1 ms once 20,000 jobs were there.
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
  readonly #unlocked: string | null;

  /** @param unlockedTable pg-boss's job table where locked rows cannot be passed over: fetching only reads there */
  constructor(boss: PgBoss, unlockedTable: string | null = null) {
    this.#boss = boss;
    this.#unlocked = unlockedTable;
  }

  /** Whether what is fetched is locked until the end of the transaction. */
  get locksFetched(): boolean {
    return this.#unlocked === null;
  }

  /**
   * The statements that insert jobs; each fails its transaction when a job is refused.
   * @param sinceBeginMs how long after the beginning of the transaction the time begins by which they are put off
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
   * The statements that delete jobs by id. A job that is gone already is no error: the row decides. One that
   * another engine is fetching is left to it: it drops the job, at once or after it has put it back while the
   * execution was locked, when it finds that there is nothing left to do. To wait for it here, with the execution
   * locked, would be a deadlock. (Portable: whoever takes a job locks its execution first, so there is nobody to wait
   * for.)
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

  /** Puts another job in the place of one, or nothing. Changes nothing when somebody else has taken it. */
  async replace(tx: Db, job: { queue: QueueName; id: string }, by: Job | null): Promise<void> {
    const [deletion] = await this.deleteStatements([job]);
    const { rows } = await tx.query(deletion!);
    if (by === null || Number(rows[0]?.count ?? 1) === 0) return;
    for (const statement of await this.insertStatements([by])) await tx.query(statement);
  }

  /** Fetches due jobs inside the caller's transaction: rolled back, they are there for the next one. */
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

  /** Of jobs that were read, those that nobody has taken since; their executions must be locked. */
  async stillThere(tx: Db, jobs: readonly FetchedJob[]): Promise<FetchedJob[]> {
    if (jobs.length === 0) return [];
    const { rows } = await tx.query(
      `select id from ${this.#unlocked} where name = any($1::text[]) and id = any($2::uuid[])`,
      [[...new Set(jobs.map(({ queue }) => queue))], plainArray(jobs.map(({ id }) => id))],
    );
    const there = new Set(rows.map(({ id }) => id));
    return jobs.filter(({ id }) => there.has(id));
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
   * Puts a job off by 30 s under a singleton key. The last safety net: a ticket for a step that is not ready
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

/** What pg-boss would fetch, in its order, as it is. */
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
  'callback',
  'deadline',
  'stop_overdue',
]);

function readData(stored: unknown): JobData {
  const { kind, execution_id, step_id } = (stored ?? {}) as Record<string, unknown>;
  const ofStep = kind === 'step' || kind === 'timer' || kind === 'step_deadline';
  const isKnown = KINDS.has(kind) && isUuid(execution_id) && (!ofStep || isUuid(step_id));
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

/** pg-boss's deletion by id, of those jobs that nobody has locked. */
function passingOverLocked({ text, values }: Statement): Statement {
  if (!BY_ID.test(text)) throw new Error('pg-boss deletes jobs in a way that this version does not know');
  const mine = 'select ctid from $1 where name = $$1 and id = any($$2::uuid[]) for update skip locked';
  return {
    text: text.replace(BY_ID, `DELETE FROM $1$2WHERE ctid = any(array(${mine})) AND name = $$1`),
    values,
  };
}

/** A database that writes down the one statement it is given and runs nothing. */
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
