/**
 * The door and everything that works behind it: slots, limits, timers, the consumer of jobs, callbacks.
 */
import { availableParallelism } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { Config } from '../config/config.ts';
import { msUntil } from '../db/clock.ts';
import { ExecutionDoor } from '../door/execution-door.ts';
import { LockedCommit } from '../door/locked-commit.ts';
import { Timers } from '../door/timers.ts';
import { linesUp, type Unit } from '../door/unit.ts';
import type { WatchedLoop } from '../maintenance/stall-watch.ts';
import { ExecutionOutputs } from '../payload/execution-outputs.ts';
import type { ScopeSource } from '../payload/expression-scope.ts';
import { PayloadReader } from '../payload/payload-reader.ts';
import type { ExecutionWaiters } from '../services/execution-waiters.ts';
import { ExecutionObserver } from '../telemetry/execution-observer.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { AttemptRunner } from '../worker/attempt-runner.ts';
import { CallbackSender } from '../worker/callbacks/sender.ts';
import { Consumer } from '../worker/consumer/consumer.ts';
import { PutBack } from '../worker/consumer/put-back.ts';
import { Dispatcher, PATIENCE_MS } from '../worker/dispatcher.ts';
import { drain } from '../worker/drain.ts';
import { StepHosts } from '../worker/hosts/hosts.ts';
import { LimitEvaluation } from '../worker/limits/evaluation.ts';
import { LimitGate } from '../worker/limits/gate.ts';
import { StepLimits } from '../worker/limits/grants.ts';
import { runScript } from '../worker/script.ts';
import type { Database } from './database.ts';
import type { StepParts } from './steps.ts';

export interface WorkerParts {
  readonly engineId: string;
  readonly config: Config;
  readonly database: Database;
  readonly steps: StepParts;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly waiters: ExecutionWaiters;
  hasPeers(): boolean;
  onError(error: unknown): void;
}

const MAX_HOSTS = 4;
const JITTER_MS = 1_000;

/** The parts refer to each other: what one calls of another is looked up when it is called. */
export class Worker {
  readonly capacity: number;
  readonly dispatcher: Dispatcher;
  readonly door: ExecutionDoor;
  readonly gate: LimitGate;
  readonly consumer: Consumer;
  readonly locked: LockedCommit;
  readonly hosts: StepHosts;
  readonly #parts: WorkerParts;
  readonly #source: ScopeSource;
  readonly #timers: Timers;
  readonly #callbacks: CallbackSender;
  readonly #observer: ExecutionObserver;
  readonly #putBack: PutBack;
  #looking: ReturnType<typeof setTimeout> | null = null;

  constructor(parts: WorkerParts) {
    const { engineId, config, database, steps, log, onError } = parts;
    const { reads, workPool, queue } = database;
    this.#parts = parts;
    this.#source = { payloads: new PayloadReader(reads, config.limits), secrets: config.secrets };
    this.capacity = config.role === 'api' ? 0 : config.concurrency;
    this.#observer = new ExecutionObserver(parts.metrics, log);
    this.hosts = new StepHosts({
      setup: steps.hostSetup,
      size: Math.min(MAX_HOSTS, availableParallelism()),
      memoryLimit: config.limits.stepMemoryBytes,
      log,
    });
    const runner = this.#runner();
    this.dispatcher = new Dispatcher(engineId, this.capacity, runner);
    this.gate = new LimitGate({
      limits: new StepLimits(workPool, engineId, (key, max) => steps.store.text(key, max)),
      evaluation: new LimitEvaluation(reads, steps.evaluator, this.#source),
      slots: this.dispatcher,
      wake: () => this.door.wake(),
      onError,
    });
    this.dispatcher.useGate(this.gate);
    this.#timers = new Timers((id, event) => this.door.post(id, event), config.limits.stopGraceMs);
    this.door = this.#createDoor();
    this.locked = new LockedCommit(workPool, this.door, steps.versions, queue.locksFetched);
    this.door.useLocked(this.locked);
    this.#callbacks = new CallbackSender({ pool: workPool, queue, client: steps.httpClient, log, onError });
    const { door, dispatcher, locked } = this;
    this.#putBack = new PutBack(dispatcher, runner, this.gate);
    this.consumer = new Consumer({
      door,
      locked,
      queue,
      dispatcher,
      putBack: this.#putBack,
      callbacks: this.#callbacks,
      versions: steps.versions,
      onSetAside: (what, err) =>
        log.error({ ...what, err }, 'This cannot be worked on; it is looked at again in half a minute'),
      onError,
    });
  }

  start(): void {
    if (this.capacity > 0) this.gate.start();
    if (this.capacity > 0 && this.#parts.steps.userTypes.size > 0) this.hosts.warm();
    this.consumer.wake();
  }

  /** What takes work and what writes it down, for whoever watches that they turn. */
  loops(): WatchedLoop[] {
    const { consumer, door, locked } = this;
    const { lanes } = this.#parts.database;
    let failures = 0;
    return [
      {
        stuck: 'Work is due, but nothing comes of looking for it.',
        turns: () => consumer.looks,
        hasWork: (jobsAreDue) => jobsAreDue,
        nudge: () => consumer.wake(),
      },
      {
        stuck: 'Commits were sent, but none goes through.',
        turns: () => lanes.reduce((sum, lane) => sum + lane.answers, locked.answers),
        hasWork: () => {
          const before = failures;
          failures = lanes.reduce((sum, lane) => sum + lane.failures, 0);
          return failures > before || locked.isWaiting || lanes.some(({ busy }) => busy);
        },
        nudge: () => door.wake(),
      },
    ];
  }

  /**
   * Jobs are due. Who has put some back for others comes at any moment of its second: two engines that look in the same
   * order each time would leave them to the wrong one each time.
   */
  async jobsAreDue(): Promise<void> {
    if (this.#putBack.hasPassedOn) await delay(Math.random() * JITTER_MS, undefined, { ref: false });
    this.consumer.wake();
  }

  /** Executions that steps run of in this process. */
  get runningExecutions(): string[] {
    return [...new Set([...this.dispatcher.attempts()].map(({ executionId }) => executionId))];
  }

  /** An execution was ended or is being stopped elsewhere: its handlers here are told. */
  stopHandlers(executionId: string): void {
    for (const attempt of this.dispatcher.attempts()) if (attempt.executionId === executionId) attempt.stop();
  }

  /** Takes nothing more, lets running steps finish within the grace time and hands the rest back. */
  async drain(graceMs: number): Promise<void> {
    await this.consumer.close();
    await this.#callbacks.close();
    await drain({ door: this.door, dispatcher: this.dispatcher, graceMs });
  }

  /** Commits what was handed in. A database that does not answer keeps nobody from stopping: it is taken over. */
  async close(graceMs: number): Promise<void> {
    await Promise.race([this.door.settled(), delay(graceMs, undefined, { ref: false })]);
    this.#timers.close();
    if (this.#looking !== null) clearTimeout(this.#looking);
    this.gate.close();
    this.door.close();
    await this.hosts.close();
  }

  #runner(): AttemptRunner {
    const { database, steps, log, metrics } = this.#parts;
    const { reads } = database;
    const handlerSeconds = new Map(
      [...steps.stepTypes.keys()].map((type) => [type, metrics.handlerDuration.labels({ type })]),
    );
    return new AttemptRunner({
      ...this.#source,
      db: reads,
      evaluator: steps.evaluator,
      store: steps.store,
      log,
      post: (executionId, event) => this.door.post(executionId, event),
      userTypes: steps.userTypes,
      hosts: this.hosts,
      runScript: (code, input, options, stepLog) => runScript(steps.sandbox, code, input, options, stepLog),
      msUntil: (instant) => msUntil(reads, instant),
      admission: (stepId) => this.gate.begun(stepId),
      finished: (type, durationMs) => handlerSeconds.get(type)!.observe(durationMs / 1000),
      refused: () => metrics.staleCompletions.inc(),
    });
  }

  #createDoor(): ExecutionDoor {
    const { database, steps, config, metrics, hasPeers } = this.#parts;
    return new ExecutionDoor({
      lanes: database.lanes,
      queue: database.queue,
      claims: this.dispatcher,
      outputs: new ExecutionOutputs(this.#source, steps.evaluator, steps.store),
      stopGraceMs: config.limits.stopGraceMs,
      hasPeers,
      observer: {
        committed: (units, durationMs) => {
          // A look at the queues that found nothing is no commit.
          if (units.length > 0) metrics.transitionDuration.observe(durationMs / 1000);
          this.#committed(units);
        },
        conflict: (error) => this.#observer.conflict(error),
        commitFailed: (error, willRetry) => this.#observer.commitFailed(error, willRetry),
      },
    });
  }

  /** Slots that stay free are given to others, and a long line gets those workspaces in that are not served. */
  #lookAgain(): void {
    this.#looking ??= setTimeout(() => {
      this.#looking = null;
      this.consumer.wakeForPending();
    }, PATIENCE_MS + 1);
  }

  #committed(units: readonly Unit[]): void {
    const { dispatcher, consumer } = this;
    this.#observer.committed(units);
    this.gate.committed(units);
    let unserved = false;
    for (const unit of units) {
      const { plan, actor } = unit;
      this.#timers.arm(unit);
      if (plan!.end !== null) this.#parts.waiters.wake(actor.id);
      if (plan!.end !== null && actor.callbackUrl !== null) consumer.wake();
      if (linesUp(unit)) {
        dispatcher.backlog = true;
        unserved ||= dispatcher.isUnserved(actor.workspaceId);
      }
    }
    if (unserved) consumer.wakeForPending();
    if (!dispatcher.backlog) return;
    if (dispatcher.room > 0) consumer.wakeForPending();
    else this.#lookAgain();
  }
}
