/**
 * The composition root: the only file that knows every part and joins them to an engine.
 *
 * Start order: database, migrations, queue, step types, door, worker, API. Stop is a drain: no new claims,
 * running steps get the grace time, what is left is handed back, then everything closes in reverse.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { createApp } from './api/app.ts';
import { createAuth } from './api/auth.ts';
import { type RunningServer, serve } from './api/server.ts';
import type { Config } from './config.ts';
import { createPool, type Pool } from './db/client.ts';
import { registerEngine, unregisterEngine } from './db/engine.ts';
import { type Listener, listen } from './db/listen.ts';
import { migrateEngine } from './db/migrate-engine.ts';
import { createEvaluator } from './expression/evaluator.ts';
import { createSandbox } from './expression/sandbox.ts';
import { collectGauges } from './maintenance/gauges.ts';
import { createHealth } from './maintenance/health.ts';
import { PulseLoop } from './maintenance/pulse-loop.ts';
import packageJson from './package.json' with { type: 'json' };
import { startBoss } from './queue/boss.ts';
import { ExecutionEngineQueue } from './queue/execution-engine-queue.ts';
import { definitionSchema } from './schema/definition-schema.ts';
import { ExecutionDoor } from './services/execution-door.ts';
import { ExecutionOutputs } from './services/execution-outputs.ts';
import { ExecutionStarter } from './services/execution-starter.ts';
import { ExecutionWaiters } from './services/execution-waiters.ts';
import { Lane } from './services/lanes.ts';
import { lintContext } from './services/lint-context.ts';
import { LockedCommit } from './services/locked-commit.ts';
import { OutputStore } from './services/storable-output.ts';
import { TemplateService } from './services/template-service.ts';
import { TemplateVersions } from './services/template-versions.ts';
import { Timers } from './services/timers.ts';
import { WorkflowExecutionService } from './services/workflowExecutionService.ts';
import { createStepTypes } from './steps/registry.ts';
import { loadUserStepTypes } from './steps/user-modules.ts';
import { watchEventLoop } from './telemetry/event-loop.ts';
import { ExecutionObserver } from './telemetry/execution-observer.ts';
import type { Log } from './telemetry/log.ts';
import { createMetrics } from './telemetry/metrics.ts';
import { AttemptRunner } from './worker/attempt-runner.ts';
import { Consumer } from './worker/consumer.ts';
import { Dispatcher } from './worker/dispatcher.ts';
import { drain } from './worker/drain.ts';
import { runScript } from './worker/script.ts';

export interface Engine {
  readonly id: string;
  /** Of the HTTP API; null for a worker without one. */
  readonly url: string | null;
  readonly executions: WorkflowExecutionService;
  readonly templates: TemplateService;
  readonly pool: Pool;
  /** Drains and closes everything. Safe to call twice. */
  stop(): Promise<void>;
}

const { version } = packageJson;
const LANES = 2;
const CHANNEL = 'execution_engine';

export async function startEngine(config: Config, databaseUrl: string, log: Log): Promise<Engine> {
  const id = randomUUID();
  const { limits } = config;
  await migrateEngine(databaseUrl, { pgbossSchema: config.pgbossSchema, maxInputBytes: limits.maxBodyBytes });
  const onError = (error: unknown) => log.error({ err: error }, 'The database could not be used');
  const boss = await startBoss({ url: databaseUrl, schema: config.pgbossSchema, onError });
  const queue = new ExecutionEngineQueue(boss);
  const apiPool = createPool(databaseUrl, { max: 10, applicationName: `engine/${id}/api`, onError });
  const workPool = createPool(databaseUrl, { max: 10, applicationName: `engine/${id}/work`, onError });
  const lanes = Array.from(
    { length: LANES },
    () => new Lane(databaseUrl, { applicationName: `engine/${id}/commit` }),
  );

  const metrics = createMetrics({
    version,
    onCollectError: (error) => log.warn({ err: error }, 'A gauge is missing'),
  });
  const stopWatching = watchEventLoop(metrics);
  const sandbox = createSandbox({
    maxMemoryBytes: Math.max(limits.scriptMemoryBytes, 256 * 1024 * 1024),
    outputBytes: limits.maxOutputBytes,
  });
  const evaluator = createEvaluator(sandbox);
  const store = new OutputStore(
    { maxDepth: limits.maxJsonDepth, maxBytes: limits.maxOutputBytes },
    Object.values(config.secrets),
  );
  const stepTypes = createStepTypes({
    http: {
      allow: [...config.httpAllow.cidrs, ...config.httpAllow.hosts],
      maxResponseBytes: limits.httpMaxResponseBytes,
      timeoutMs: limits.httpTimeoutMs,
    },
    script: { timeoutMs: limits.scriptTimeoutMs, memoryBytes: limits.scriptMemoryBytes },
    extra: await loadUserStepTypes([...config.steps], process.cwd()),
  });
  const handlerSeconds = new Map(
    [...stepTypes.keys()].map((type) => [type, metrics.handlerDuration.labels({ type })]),
  );
  const lint = lintContext(stepTypes, { maxSteps: limits.maxSteps, maxDepth: limits.maxJsonDepth });
  const versions = new TemplateVersions({ lint, stepTypes });

  const waiters = new ExecutionWaiters();
  const observer = new ExecutionObserver(metrics, log);
  const runner = new AttemptRunner({
    db: workPool,
    evaluator,
    store,
    secrets: config.secrets,
    log,
    post: (executionId, event) => door.post(executionId, event),
    runScript: (code, input, options, stepLog) => runScript(sandbox, code, input, options, stepLog),
    msUntil: async (instant) => {
      const { rows } = await workPool.query(
        'select extract(epoch from $1::timestamptz - clock_timestamp()) * 1000 as ms',
        [instant],
      );
      return Number(rows[0].ms);
    },
    finished: (type, durationMs) => handlerSeconds.get(type)!.observe(durationMs / 1000),
    refused: () => metrics.staleCompletions.inc(),
  });
  const capacity = config.role === 'api' ? 0 : config.concurrency;
  const dispatcher = new Dispatcher(id, capacity, runner);
  const timers = new Timers((executionId, event) => door.post(executionId, event), limits.stopGraceMs);
  const door: ExecutionDoor = new ExecutionDoor({
    lanes,
    queue,
    claims: dispatcher,
    outputs: new ExecutionOutputs(workPool, evaluator, store, config.secrets),
    stopGraceMs: limits.stopGraceMs,
    hasPeers: () => pulse.hasPeers,
    observer: {
      committed: (units) => {
        observer.committed(units);
        for (const unit of units) {
          timers.arm(unit);
          if (unit.plan!.end !== null) waiters.wake(unit.actor.id);
          if (unit.start !== null && !unit.plan!.begun && unit.start.startAfter === null)
            dispatcher.backlog = true;
        }
        if (dispatcher.backlog && dispatcher.room > 0) consumer.wake();
      },
      conflict: (error) => observer.conflict(error),
      commitFailed: (error, willRetry) => observer.commitFailed(error, willRetry),
    },
  });
  const locked = new LockedCommit(workPool, door, versions);
  door.useLocked(locked);
  const consumer = new Consumer({ door, locked, queue, dispatcher, onError });

  const engine = { id, role: config.role, host: hostname(), pid: process.pid, version, capacity };
  await registerEngine(workPool, engine);
  const running = () => [...new Set([...dispatcher.attempts()].map(({ executionId }) => executionId))];
  const pulse: PulseLoop = new PulseLoop({
    db: workPool,
    engine,
    jobTable: `${config.pgbossSchema}.job`,
    runningCount: () => dispatcher.runningCount,
    watched: () => [...running(), ...waiters.ids],
    onJobs: () => consumer.wake(),
    onEnded: (ids) => {
      for (const executionId of ids) {
        waiters.wake(executionId);
        for (const attempt of dispatcher.attempts()) if (attempt.executionId === executionId) attempt.stop();
      }
    },
    rescue: async ({ executionId, stepTemplateId, attempt, owner }) => {
      const stored = await versions.get(workPool, await templateOf(executionId));
      const position = stored?.positions.get(stepTemplateId);
      if (position === undefined) return;
      await door.deliver(executionId, { type: 'rescue', position, claim: { attempt, owner } });
    },
    onError,
  });
  const templateOf = async (executionId: string): Promise<string> => {
    const { rows } = await workPool.query(
      'select workflow_template_id from workflow_executions where id = $1',
      [executionId],
    );
    return rows[0].workflow_template_id;
  };
  const onNotify = (_channel: string, payload: string) => {
    if (payload.includes('ready')) consumer.wake();
    if (payload.includes('ended') || payload.includes('aborted')) pulse.tick().catch(onError);
  };
  const listener: Listener = listen(databaseUrl, [CHANNEL], onNotify, () => consumer.wake(), { onError });
  await listener.ready;

  const starter = new ExecutionStarter(apiPool, door, versions);
  const executions = new WorkflowExecutionService({ pool: apiPool, door, starter, versions, waiters });
  const templates = new TemplateService(apiPool, lint);
  let draining = false;
  const health = createHealth({ pool: apiPool, silentMs: () => pulse.silentMs, isDraining: () => draining });
  collectGauges(metrics, {
    db: apiPool,
    jobTable: `${config.pgbossSchema}.job`,
    pools: { api: apiPool, work: workPool },
    running: () => dispatcher.runningCount,
    capacity,
    sandboxKills: () => sandbox.counters.kills,
  });

  let server: RunningServer | null = null;
  if (config.role !== 'worker') {
    const app = createApp({
      templates,
      executions,
      health,
      metrics: () => metrics.render(),
      auth: createAuth({ keys: config.apiKeys }),
      limits: {
        bodyBytes: limits.maxBodyBytes,
        jsonDepth: limits.maxJsonDepth,
        definitionBytes: limits.maxDefinitionBytes,
        startMany: 1_000,
      },
      definitionSchema: () => definitionSchema(stepTypes),
      log,
      version,
      onRequest: ({ route, method, status, seconds }) =>
        metrics.httpRequestDuration.observe({ route, method, status: String(status) }, seconds),
    });
    server = await serve(app, { host: config.host, port: config.port });
  }
  pulse.start();
  consumer.wake();

  let stopping: Promise<void> | null = null;
  const stop = async () => {
    draining = true;
    await server?.stop(config.drainGraceMs);
    await pulse.close();
    await listener.close();
    await consumer.close();
    await drain({ door, dispatcher, graceMs: config.drainGraceMs });
    timers.close();
    door.close();
    await Promise.all(lanes.map((lane) => lane.close()));
    await boss.stop({ graceful: false, close: true });
    await unregisterEngine(workPool, id).catch(onError);
    stopWatching();
    sandbox.close();
    await Promise.all([apiPool.end(), workPool.end()]);
  };
  return {
    id,
    url: server?.url ?? null,
    executions,
    templates,
    pool: apiPool,
    stop: () => {
      stopping ??= stop();
      return stopping;
    },
  };
}
