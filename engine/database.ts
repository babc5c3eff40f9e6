/**
 * The engine's connections: pools for the API and for the worker, the lanes of commits, and the queue.
 */
import type { Config } from '../config/config.ts';
import { HookUrls } from '../core/hooks/hook-urls.ts';
import { createPool, type Db, type Pool, patientReads } from '../db/connection/client.ts';
import { POOL_SIZES } from '../db/connection/connection-limit.ts';
import type { DatabaseRoute } from '../db/connection/features.ts';
import { Lane } from '../db/connection/lane.ts';
import { explainRights } from '../db/connection/rights.ts';
import { whenUsable } from '../db/connection/when-usable.ts';
import { migrateEngine } from '../db/migrate/migrate-engine.ts';
import { readHookKey } from '../db/waits/hook-key.ts';
import { startBoss } from '../queue/boss.ts';
import { ExecutionEngineQueue } from '../queue/execution-engine-queue.ts';
import type { Undo } from './undo.ts';

export interface Database {
  /** Migrations of a newer version of the engine, beside which this one can run. */
  readonly newer: readonly string[];
  readonly route: DatabaseRoute;
  readonly apiPool: Pool;
  readonly workPool: Pool;
  /** One lasting session with a lease: an engine that judges peers must itself have been connected for a while. */
  readonly pulsePool: Pool;
  /** Reads before a step runs. They are the engine's own work: a broken connection must not fail the step. */
  readonly reads: Db;
  readonly lanes: readonly Lane[];
  readonly queue: ExecutionEngineQueue;
  /** The qualified name of pg-boss's job table. */
  readonly jobTable: string;
  readonly hookUrls: HookUrls;
  /** Sets the function that unregisters this engine, called once it will write nothing more. */
  onWritten(goodbye: () => Promise<unknown>): void;
}

export interface OpeningParts {
  readonly undo: Undo;
  /** Called while the database is not usable yet. */
  onWait(error: unknown): void;
  onError(error: unknown): void;
}

/** A commit that waits longer for an execution's lock is decided again, on the locked path, which orders its locks. */
const LANE_LOCK_MS = 200;
/** A slower commit takes the locked path; a silent lane is closed soon after. */
const LANE_STATEMENT_MS = 5_000;

/** Migrates, starts the queue and opens the connections. Throws when the database is unusable. */
export async function openDatabase(
  route: DatabaseRoute,
  engineId: string,
  { pgbossSchema, limits, publicUrl }: Config,
  { undo, onWait, onError }: OpeningParts,
): Promise<Database> {
  const { work, long, backend, features } = route;
  const maxInputBytes = limits.maxBodyBytes;
  const refuse = async (error: unknown): Promise<never> => {
    throw await explainRights(error, long.url);
  };
  const migrating = () =>
    migrateEngine(route, {
      pgbossSchema,
      maxInputBytes,
      maxOutputBytes: limits.maxOutputBytes,
      maxJsonDepth: limits.maxJsonDepth,
    });
  const { newer } = await whenUsable(migrating, onWait).catch(refuse);
  const name = (use: string) => `engine/${engineId}/${use}`;
  const { url, session } = work;
  const shared = { ...session, onError };
  const apiPool = createPool(url, { ...shared, max: POOL_SIZES.api, applicationName: name('api') });
  const workPool = createPool(url, {
    ...shared,
    max: POOL_SIZES.work,
    applicationName: name('work'),
    byIndex: true,
  });
  const pulsePool = createPool(url, {
    ...shared,
    max: 1,
    applicationName: name('pulse'),
    byIndex: true,
    isLease: true,
  });
  await undo.add(() => Promise.all([apiPool.end(), workPool.end(), pulsePool.end()]));
  let goodbye = (): Promise<unknown> => Promise.resolve();
  await undo.add(() => goodbye());
  const queueSession = {
    ...long,
    backend,
    schema: pgbossSchema,
    db: apiPool,
    applicationName: name('queue'),
    onError,
  };
  const boss = await whenUsable(() => startBoss(queueSession), onWait).catch(refuse);
  await undo.add(() => boss.stop({ graceful: false, close: true }));
  const lanes = Array.from(
    // Two overlap: while the database works on one commit the engine prepares the next.
    { length: POOL_SIZES.commits },
    () =>
      new Lane(url, {
        ...session,
        applicationName: name('commit'),
        byIndex: true,
        lockTimeoutMs: LANE_LOCK_MS,
        statementTimeoutMs: LANE_STATEMENT_MS,
      }),
  );
  // Waits for commits in flight.
  await undo.add(() => Promise.all(lanes.map((lane) => lane.close())));
  const jobTable = `${pgbossSchema}.job`;
  const hookKey = await whenUsable(() => readHookKey(apiPool), onWait).catch(refuse);
  return {
    route,
    newer,
    apiPool,
    workPool,
    pulsePool,
    reads: patientReads(workPool),
    lanes,
    queue: new ExecutionEngineQueue(boss, jobTable, features.skipLocked),
    jobTable,
    hookUrls: new HookUrls(hookKey, publicUrl),
    onWritten: (last) => {
      goodbye = last;
    },
  };
}
