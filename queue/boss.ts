/**
 * Starts pg-boss with the engine's three queues, and refuses a pg-boss that belongs to someone else.
 *
 * pg-boss keeps its own schema and its own small pool. Its workers are not used: jobs are fetched and
 * consumed in the engine's transactions (execution-engine-queue.ts).
 */
import pg from 'pg';
import { type ConstructorOptions, getConstructionPlans, PgBoss } from 'pg-boss';
import type { QueueName } from '../core/jobs.ts';
import type { Db } from '../db/connection/client.ts';
import { POOL_SIZES } from '../db/connection/connection-limit.ts';
import type { Backend, DatabaseWay } from '../db/connection/features.ts';
import { isMadeElsewhere } from '../db/connection/named-lock.ts';
import { connectionConfig, prepareSession, type SessionOptions } from '../db/connection/session.ts';

export const QUEUES: readonly QueueName[] = [
  'WorkflowExecutionQueue',
  'StepExecutionQueue',
  'MergeExecutionQueue',
];

const TEN_YEARS_SECONDS = 10 * 365 * 24 * 3600;

export interface BossOptions {
  readonly url: string;
  /** Default: PostgreSQL, with long-lived sessions. */
  readonly session?: DatabaseWay['session'];
  readonly backend?: Backend;
  readonly schema: string;
  /** Where the version of its tables is read; default: a connection for that alone. */
  readonly db?: Db;
  /** Shown in pg_stat_activity. */
  readonly applicationName?: string;
  onError(error: Error): void;
}

/**
 * pg-boss creates its tables and rebuilds its indexes on these connections, which takes longer than the engine's
 * statements.
 */
const SESSION = { statementTimeoutMs: 300_000, lockTimeoutMs: 30_000 };
/** One for each statement that creates something, and some more. */
const MAX_FAILURES = 20;

/** @throws Error naming the schema and the fix when an older pg-boss with other queues is found there */
export async function startBoss(options: BossOptions): Promise<PgBoss> {
  await refuseForeignBoss(options);
  for (let failures = 0; ; failures += 1) {
    try {
      return await startOnce(options);
    } catch (error) {
      // Without advisory locks several pg-boss create their tables at once: the loser fails and finds them created.
      const { backend = 'postgres' } = options;
      if (backend === 'postgres' || failures === MAX_FAILURES || !isMadeElsewhere(error)) throw error;
    }
  }
}

async function startOnce(options: BossOptions): Promise<PgBoss> {
  const boss = new PgBoss(bossConfig(options));
  boss.on('error', (error) => options.onError(error));
  try {
    await boss.start();
    for (const name of QUEUES) await boss.createQueue(name, queueOptions());
  } catch (error) {
    // Stops everything before the next attempt.
    await boss.stop({ graceful: false, close: true }).catch(() => {});
    throw error;
  }
  return boss;
}

/** Returns the options. pg-boss passes unknown ones on to its pool, and the pool to each of its connections. */
function bossConfig(options: BossOptions): ConstructorOptions {
  const { url, schema, backend = 'postgres', applicationName = 'engine/queue' } = options;
  const session: SessionOptions = { ...SESSION, ...options.session, applicationName };
  // pg-boss parses numbers in its own way.
  const { types: _types, ...connection } = connectionConfig(url, session);
  const pool: pg.PoolConfig = {
    ...connection,
    max: POOL_SIZES.queue,
    onConnect: (client) => prepareSession(client, session),
  };
  return {
    ...(pool as ConstructorOptions),
    schema,
    backend,
    // The list of instances is for pg-boss's dashboard. Its heartbeats have the runtime walk through the whole heap,
    // which stops everything else, and it uses SKIP LOCKED on every backend.
    registerInstance: false,
    schedule: false,
    flowIntervalSeconds: 3600,
  };
}

/** Creates pg-boss's schema and the engine's queues, then stops pg-boss. */
export async function installBoss(options: BossOptions): Promise<void> {
  const boss = await startBoss(options);
  await boss.stop({ graceful: false, close: true });
}

/** Returns the SQL with which pg-boss would create its schema; empty where it exists. */
export async function bossPlans(
  url: string,
  schema: string,
  backend: Backend = 'postgres',
): Promise<{ name: string; sql: string; checksum: string }[]> {
  const isThere = await withClient({ url }, (client) => readBossVersion(client, schema));
  const sql = getConstructionPlans(schema, { backend });
  return isThere === null ? [{ name: `pg-boss in schema ${schema}`, sql, checksum: '' }] : [];
}

/**
 * A partition of its own keeps the planner's statistics right after a burst. Jobs are tickets and never
 * expire on their own: if pg-boss silently deleted a ticket, its step would wait for ever.
 */
function queueOptions() {
  return {
    policy: 'standard' as const,
    partition: true,
    retentionSeconds: TEN_YEARS_SECONDS,
    expireInSeconds: 60,
    retryLimit: 1_000_000,
    retryDelay: 1,
  };
}

async function refuseForeignBoss({ schema, db, ...way }: BossOptions): Promise<void> {
  const version = await (db === undefined
    ? withClient(way, (client) => readBossVersion(client, schema))
    : readBossVersion(db, schema));
  if (version === null || version >= BOSS_SCHEMA_VERSION) return;
  throw new Error(
    `Schema "${schema}" holds pg-boss tables of version ${version}, older than the ${BOSS_SCHEMA_VERSION} this engine needs; ` +
      'they are not migrated, because another program may be using them. ' +
      'Set EXECUTION_ENGINE_PGBOSS_SCHEMA to a schema of the engine’s own, or upgrade that program’s pg-boss first.',
  );
}

async function readBossVersion(client: Db, schema: string): Promise<number | null> {
  const found = await client.query('select to_regclass($1) is not null as there', [
    `${pg.escapeIdentifier(schema)}.version`,
  ]);
  if (!found.rows[0].there) return null;
  const { rows } = await client.query(`select version from ${pg.escapeIdentifier(schema)}.version`);
  return Number(rows[0]?.version ?? 0);
}

async function withClient<T>(
  { url, session: kind }: Pick<BossOptions, 'url' | 'session'>,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const session = { ...kind, applicationName: 'engine/queue' };
  const client = new pg.Client(connectionConfig(url, session));
  // A connection that breaks meanwhile rejects its running statements.
  client.on('error', () => {});
  try {
    await client.connect();
    await prepareSession(client, session);
    return await work(client);
  } finally {
    await client.end().catch(() => {});
  }
}

/** The table version of the pinned pg-boss release. */
const BOSS_SCHEMA_VERSION = 46;
