/**
 * The composition root: the only file that knows every part and joins them into an engine.
 *
 * Start order: address, database, step types, migrations, queue, door, worker, API. Stop is a drain: no new claims,
 * running steps get the grace time, the rest is given back, then everything closes in reverse.
 *
 * Invariant: a start that fails or is cancelled leaves nothing behind (undo.ts).
 */
import { randomUUID } from 'node:crypto';
import { createApp } from '../api/app.ts';
import { createAuth } from '../api/auth.ts';
import type { Config } from '../config/config.ts';
import type { Pool } from '../db/connection/client.ts';
import { definitionSchema } from '../definition/definition-schema.ts';
import { collectGauges } from '../maintenance/gauges.ts';
import { createHealth } from '../maintenance/health.ts';
import { watchIdleWork } from '../maintenance/idle-work-watch.ts';
import { LockWatch } from '../maintenance/lock-watch.ts';
import type { PulseLoop } from '../maintenance/pulse-loop.ts';
import { StallWatch } from '../maintenance/stall-watch.ts';
import packageJson from '../package.json' with { type: 'json' };
import { ForkService } from '../services/control/fork.ts';
import { MigrateService } from '../services/control/migrate.ts';
import { Doctor } from '../services/doctor/doctor.ts';
import { ExecutionStarter } from '../services/execution-starter.ts';
import { ExecutionWaiters } from '../services/execution-waiters.ts';
import { EventService } from '../services/history/event-service.ts';
import { ReadingService } from '../services/reading/reading-service.ts';
import { StatsService } from '../services/stats/stats-service.ts';
import { TemplateService } from '../services/template-service.ts';
import { WorkflowExecutionService } from '../services/workflowExecutionService.ts';
import { watchEventLoop } from '../telemetry/event-loop.ts';
import type { Log } from '../telemetry/log.ts';
import { createMetrics, type Metrics } from '../telemetry/metrics.ts';
import { checkDatabase, createStartGate, databaseErrors, startRetention, waitingFor } from './bounds.ts';
import { createControlServices, createRehearsal } from './control-services.ts';
import { type Database, openDatabase } from './database.ts';
import { startEndCounter } from './end-counter.ts';
import { openFront } from './front.ts';
import { joinPeers } from './peers.ts';
import { startReminders } from './reminders.ts';
import { createStepServices } from './step-services.ts';
import { MAX_STARTS } from './step-types.ts';
import { createStepParts, type StepParts } from './steps.ts';
import { GivenUp, Undo } from './undo.ts';
import { Worker } from './worker.ts';

export interface Engine {
  readonly id: string;
  /** URL of the HTTP API; a worker serves health and metrics there. */
  readonly url: string;
  readonly executions: WorkflowExecutionService;
  readonly templates: TemplateService;
  readonly pool: Pool;
  /** Drains and closes everything. Safe to call twice. */
  stop(): Promise<void>;
}

const { version } = packageJson;

/** A database for this engine alone. */
export interface OwnDatabase {
  readonly url: string;
  stop(): Promise<void>;
}

/** A URL, or a function that starts a database of the engine's own, which stops with the engine. */
export type DatabaseSource = string | (() => Promise<OwnDatabase>);

/** How long a cancelled start may continue its current work. */
const GIVE_UP_MS = 1_000;

/** @param signal cancels the start @throws the first failure, after everything was undone */
export async function startEngine(
  config: Config,
  source: DatabaseSource,
  log: Log,
  signal?: AbortSignal,
): Promise<Engine> {
  const undo = new Undo();
  const starting = buildEngine(config, source, log, undo);
  try {
    return await (signal === undefined ? starting : unlessGivenUp(starting, signal));
  } catch (error) {
    await undo.run();
    throw error;
  }
}

async function unlessGivenUp<T>(starting: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: givenUp, reject } = Promise.withResolvers<never>();
  const giveUp = () => setTimeout(() => reject(new GivenUp()), GIVE_UP_MS);
  if (signal.aborted) giveUp();
  signal.addEventListener('abort', giveUp, { once: true });
  try {
    return await Promise.race([starting, givenUp]);
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}

/** Returns the URL. A database that is starting when the start is cancelled is awaited, and stopped. */
async function startDatabase(source: DatabaseSource, undo: Undo): Promise<string> {
  if (typeof source === 'string') return source;
  const starting = source();
  await undo.add(() =>
    starting.then(
      (own) => own.stop(),
      () => {},
    ),
  );
  return (await starting).url;
}

async function buildEngine(config: Config, source: DatabaseSource, log: Log, undo: Undo): Promise<Engine> {
  const id = randomUUID();
  const graceMs = config.drainGraceMs;
  const front = await openFront({ host: config.host, port: config.port });
  await undo.add(() => front.server.stop(0));
  const databaseUrl = await startDatabase(source, undo);
  const { onError, answered, sparing } = databaseErrors(log, databaseUrl);
  const steps = await createStepParts(config, log, undo);
  const { warnings, route } = await checkDatabase(databaseUrl, config, log);
  const database = await openDatabase(route, id, config, { undo, onWait: waitingFor(log), onError });
  if (database.newer.length > 0)
    log.warn({ migrations: database.newer }, 'The database was migrated by a newer version of the engine');
  const metrics = createMetrics({
    version,
    onCollectError: (err, gauges) => log.warn({ gauges, err }, 'Gauges are missing in a scrape'),
  });
  await undo.add(watchEventLoop(metrics));
  const waiters = new ExecutionWaiters();
  let pulse: PulseLoop | null = null;
  // True until the first round shows otherwise: a needless notification is better than a missing one.
  const hasPeers = () => route.features.listen && (pulse?.hasPeers ?? true);
  const worker = new Worker({
    engineId: id,
    config,
    database,
    steps,
    metrics,
    log,
    waiters,
    hasPeers,
    onError,
  });
  const locks = watchLocks(id, database, worker, log);
  pulse = await joinPeers({
    engineId: id,
    config,
    database,
    steps,
    worker,
    waiters,
    undo,
    log,
    onAnswer: () => {
      answered();
      void locks?.round();
    },
    onError,
  });
  await undo.add(startRetention({ config, database, engineId: id, metrics, log, onError }));
  await undo.add(startEndCounter(database, onError));
  await undo.add(startReminders({ config, database, steps, log, onError }));
  await undo.add(() => worker.close(graceMs));
  await undo.add(() => front.server.stop(graceMs));
  const parts = { config, database, steps, worker, metrics, log: sparing, waiters, pulse, warnings, locks };
  const { app, executions, templates, startDraining } = createApi(parts);
  // While running steps finish, health reports the drain and every call is still answered.
  await undo.add(() => worker.drain(graceMs));
  await undo.add(startDraining);
  pulse.start();
  worker.start();
  front.open(app);
  let stopping: Promise<void> | null = null;
  return {
    id,
    url: front.server.url,
    executions,
    templates,
    pool: database.apiPool,
    stop: () => {
      stopping ??= undo.run();
      return stopping;
    },
  };
}

interface ApiParts {
  readonly config: Config;
  readonly database: Database;
  readonly steps: StepParts;
  readonly worker: Worker;
  readonly metrics: Metrics;
  readonly waiters: ExecutionWaiters;
  readonly log: Pick<Log, 'error'>;
  readonly pulse: PulseLoop;
  /** Warnings shown by /health. */
  readonly warnings: readonly string[];
  /** Null: the database does not say who holds a lock. */
  readonly locks: LockWatch | null;
}

function watchLocks(engineId: string, { apiPool: db, route }: Database, { locked }: Worker, log: Log) {
  if (!route.features.advisoryLocks) return null;
  return new LockWatch({ db, engineId, log, isWaiting: () => locked.isWaiting });
}

/** Forks are bounded like starts. */
function createExecutions(parts: ApiParts): {
  executions: WorkflowExecutionService;
  forks: ForkService;
  migrations: MigrateService;
} {
  const { config, database, steps, worker, metrics, waiters } = parts;
  const { apiPool: pool, hookUrls } = database;
  const { versions, store, reader: inputs } = steps;
  const { door } = worker;
  const gate = createStartGate(config, database, metrics);
  const starter = new ExecutionStarter({ pool, door, versions, gate, inputs });
  const { limits } = config;
  const executions = new WorkflowExecutionService({
    pool,
    door,
    starter,
    versions,
    waiters,
    limits,
    hookUrls,
    store,
  });
  return {
    executions,
    forks: new ForkService({ pool, door, versions, gate, inputs, store }),
    migrations: new MigrateService({ pool, door, versions, executions }),
  };
}

function createApi(parts: ApiParts) {
  const { config, database, steps, worker, metrics, log, pulse, warnings, locks } = parts;
  const { apiPool: pool, workPool, jobTable } = database;
  const { versions, reader, stepTypes, sandbox, store } = steps;
  const { dispatcher, capacity } = worker;
  const { limits } = config;
  const stalls = new StallWatch(worker.loops());
  pulse.useStallWatch(stalls);
  const { executions, forks, migrations } = createExecutions(parts);
  const templates = new TemplateService(pool, reader, database.route.features);
  const doctor = new Doctor({
    ...database.route.long,
    pgbossSchema: config.pgbossSchema,
    pool: workPool,
    queue: database.queue,
    versions,
    committer: worker.committer,
    locked: worker.locked,
    stopGraceMs: limits.stopGraceMs,
    takeOver: () => pulse.takeOver(),
  });
  const idleWork = watchIdleWork(pool, jobTable);
  let draining = false;
  collectGauges(metrics, {
    db: pool,
    jobTable,
    pools: { api: pool, work: workPool },
    running: () => dispatcher.runningCount,
    capacity,
    sandboxKills: () => sandbox.counters.kills,
  });
  const rehearsal = createRehearsal({ database, steps, worker });
  const app = createApp({
    surface: config.role === 'worker' ? 'operations' : 'all',
    templates,
    executions,
    forks,
    control: createControlServices({ database, steps, worker }, rehearsal, executions),
    migrations,
    ...createStepServices({ config, database, steps, rehearsal, ...worker.doors }),
    events: new EventService({ pool, feeds: worker.feeds }),
    reading: new ReadingService({ pool, versions, hookUrls: database.hookUrls, store }),
    stats: new StatsService(pool),
    doctor,
    starts: config.role === 'worker' ? undefined : reader,
    health: createHealth({
      pool,
      warnings,
      silentMs: () => pulse.silentMs,
      idleWork: () => idleWork.warnings(),
      locks: () => locks?.warnings ?? [],
      stall: () => stalls.stall,
      isDraining: () => draining,
    }),
    metrics: () => metrics.render(),
    auth: createAuth({ keys: config.apiKeys }),
    limits: {
      bodyBytes: limits.maxBodyBytes,
      jsonDepth: limits.maxJsonDepth,
      definitionBytes: limits.maxDefinitionBytes,
      startMany: MAX_STARTS,
      intakeBytes: limits.maxIntakeBytes,
    },
    definitionSchema: () => definitionSchema(stepTypes),
    log,
    version,
    onIntakeRefused: () => metrics.requestsRefused.inc({ reason: 'bytes' }),
    onRequest: ({ route, method, status, seconds }) =>
      metrics.httpRequestDuration.observe({ route, method, status: String(status) }, seconds),
  });
  return {
    app,
    executions,
    templates,
    startDraining: () => {
      draining = true;
    },
  };
}
