/**
 * The door and everything behind it: capacity, limits, timers, the consumer of jobs, callbacks.
 */
import { availableParallelism } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { Config } from '../config/config.ts';
import { scopeOf } from '../core/view.ts';
import { msUntil } from '../db/clock.ts';
import type { CommitObserver, CommitSubscriber } from '../door/commit-subscriber.ts';
import { Committer } from '../door/committer.ts';
import { Migrations } from '../door/control/migrations.ts';
import { ExecutionDoor } from '../door/execution-door.ts';
import { LockedCommit } from '../door/locked-commit.ts';
import { HeldInbox } from '../door/scopes/held-inbox.ts';
import { Timers } from '../door/timers.ts';
import type { WatchedLoop } from '../maintenance/stall-watch.ts';
import { ExecutionOutputs } from '../payload/execution-outputs.ts';
import { PayloadReader } from '../payload/payload-reader.ts';
import type { ScopeSource } from '../payload/scope-source.ts';
import { ScopeValues } from '../payload/scope-values.ts';
import { within } from '../process/within.ts';
import type { ExecutionWaiters } from '../services/execution-waiters.ts';
import { EventFeeds } from '../services/history/event-feeds.ts';
import { TaskWaiters } from '../services/tasks/task-waiters.ts';
import { ExecutionObserver } from '../telemetry/execution-observer.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { TemplateMetrics } from '../telemetry/template-metrics.ts';
import { AttemptEnd } from '../worker/attempt-end.ts';
import { AttemptLog } from '../worker/attempt-log.ts';
import { AttemptRunner } from '../worker/attempt-runner.ts';
import { Backlog } from '../worker/backlog.ts';
import { CallbackSender } from '../worker/callbacks/sender.ts';
import { ChildTemplates } from '../worker/children/child-templates.ts';
import { Consumer } from '../worker/consumer/consumer.ts';
import { PutBack } from '../worker/consumer/put-back.ts';
import { Dispatcher, PATIENCE_MS } from '../worker/dispatcher.ts';
import { commitMs, drain } from '../worker/drain.ts';
import { StepHosts } from '../worker/hosts/hosts.ts';
import { keepTurn } from '../worker/kept-turns.ts';
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
const MAX_LABEL_LENGTH = 128;

/** Shorter runs are over before somebody ends them by hand. */
const LONG_RUN_MS = 1_000;

/** The parts refer to each other: they are looked up at the time of a call. */
export class Worker {
  readonly capacity: number;
  readonly dispatcher: Dispatcher;
  readonly committer: Committer;
  readonly door: ExecutionDoor;
  readonly limits: StepLimits;
  readonly gate: LimitGate;
  readonly consumer: Consumer;
  readonly heldInbox: HeldInbox;
  readonly locked: LockedCommit;
  readonly hosts: StepHosts;
  readonly feeds: EventFeeds;
  readonly #parts: WorkerParts;
  readonly #source: ScopeSource;
  readonly #timers: Timers;
  readonly #callbacks: CallbackSender;
  readonly #backlog: Backlog;
  readonly #putBack: PutBack;
  readonly #taskWaiters: TaskWaiters;

  constructor(parts: WorkerParts) {
    const { engineId, config, database, steps, log, onError } = parts;
    const { reads, workPool, queue } = database;
    this.#parts = parts;
    this.#source = {
      payloads: new PayloadReader(reads, config.limits),
      values: new ScopeValues(reads),
      secrets: config.secrets,
      hookUrls: database.hookUrls,
    };
    this.capacity = config.role === 'api' ? 0 : config.concurrency;
    this.hosts = new StepHosts({
      setup: steps.hostSetup,
      size: Math.min(MAX_HOSTS, availableParallelism()),
      memoryLimit: config.limits.stepMemoryBytes,
      log,
    });
    const runner = this.#runner();
    this.#backlog = new Backlog({
      room: () => this.dispatcher.room,
      isUnserved: (workspaceId) => this.dispatcher.isUnserved(workspaceId),
      look: () => this.consumer.wakeForPending(),
      patienceMs: PATIENCE_MS,
    });
    this.dispatcher = new Dispatcher(engineId, this.capacity, runner, this.#backlog, parts.hasPeers);
    this.limits = new StepLimits(workPool, engineId, (key, max) => steps.store.text(key, max));
    this.gate = new LimitGate({
      limits: this.limits,
      evaluation: new LimitEvaluation(reads, steps.evaluator, this.#source),
      turns: this.dispatcher,
      wake: () => this.door.wake(),
      onError,
    });
    this.dispatcher.useGate(this.gate);
    this.#timers = new Timers((id, event) => this.door.post(id, event), config.limits.stopGraceMs);
    const { metrics } = parts;
    const client = steps.httpClient;
    this.#callbacks = new CallbackSender({ pool: workPool, queue, client, metrics, log, onError });
    const templates = new TemplateMetrics(metrics, {
      max: config.limits.maxMetricTemplates,
      masked: (name) => steps.store.text(name, MAX_LABEL_LENGTH),
    });
    const observer = new ExecutionObserver(metrics, templates, log);
    this.#taskWaiters = new TaskWaiters(database.apiPool);
    this.feeds = new EventFeeds({ db: database.apiPool, onError });
    this.committer = this.#createCommitter(observer, [
      observer,
      this.gate,
      this.#timers,
      parts.waiters,
      this.feeds,
      this.#taskWaiters,
      { committed: (units) => this.consumer.committed(units) },
      { committed: (units) => this.heldInbox.committed(units) },
      this.#backlog,
    ]);
    const { committer, dispatcher } = this;
    this.locked = new LockedCommit({ pool: workPool, committer, versions: steps.versions, queue });
    this.door = this.#createDoor(parts);
    this.heldInbox = this.#createHeldInbox();
    const inHand = {
      isOffered: (stepId: string) => dispatcher.isOffered(stepId),
      ticketDelayMs: () => this.gate.ticketDelayMs(),
    };
    this.#putBack = new PutBack(inHand, runner);
    this.consumer = new Consumer({
      committer,
      locked: this.locked,
      queue,
      dispatcher,
      backlog: this.#backlog,
      putBack: this.#putBack,
      callbacks: this.#callbacks,
      versions: steps.versions,
      inputs: steps.reader,
      signals: { answers: steps.reader, store: steps.store },
      onSetAside: (what, err) =>
        log.error({ ...what, err }, 'This cannot be worked on; it is looked at again in half a minute'),
      onError,
    });
  }

  #createDoor({ database: { lanes, queue }, steps: { versions } }: WorkerParts): ExecutionDoor {
    const { committer, locked } = this;
    const migrations = new Migrations({ committer, locked, versions, queue });
    return new ExecutionDoor({ lanes, committer, locked, migrations });
  }

  /** What services of waiting steps need of the worker. */
  get doors() {
    return { door: this.door, taskWaiters: this.#taskWaiters, limits: this.limits };
  }

  start(): void {
    if (this.capacity > 0) this.gate.start();
    if (this.capacity > 0 && this.#parts.steps.userTypes.size > 0) this.hosts.warmSoon();
    this.consumer.wake();
  }

  /** The loops that the stall watch observes. */
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
   * Fetches due jobs. An engine that just put jobs back waits a random time, so that two engines do not keep taking
   * the same jobs.
   */
  async jobsAreDue(): Promise<void> {
    if (this.#putBack.hasPassedOn) await delay(Math.random() * JITTER_MS, undefined, { ref: false });
    this.consumer.wake();
  }

  /** Executions of which this process runs steps. */
  get runningExecutions(): string[] {
    return [...new Set([...this.dispatcher.attempts()].map(({ executionId }) => executionId))];
  }

  /**
   * Steps that may be over while their execution goes on: losers of a race, steps in scopes, and steps that run long enough for
   * somebody to end them by hand.
   */
  get racingSteps(): string[] {
    const racing = [...this.dispatcher.attempts()].filter(
      (attempt) =>
        attempt.abortReason === null &&
        (attempt.mayLose || scopeOf(attempt.view) !== null || runsLong(attempt)),
    );
    return racing.map(({ stepId }) => stepId);
  }

  /** Stops the handlers here of executions that ended elsewhere, or wind down: there, compensations go on. */
  stopHandlers(final: ReadonlySet<string>, windingDown: ReadonlySet<string>): void {
    if (final.size + windingDown.size === 0) return;
    for (const attempt of this.dispatcher.attempts()) {
      const { executionId, undoes } = attempt;
      if (final.has(executionId) || (!undoes && windingDown.has(executionId))) attempt.stop();
    }
  }

  /**
   * Takes no more work, lets running steps finish within the grace time and gives the rest back. No part waits for
   * another one beyond the grace time: callbacks that hang keep no step.
   */
  async drain(graceMs: number): Promise<void> {
    await within(commitMs(graceMs), this.consumer.close());
    await Promise.all([
      this.#callbacks.close(),
      drain({ door: this.door, dispatcher: this.dispatcher, graceMs }),
    ]);
  }

  /** Commits pending events. An unreachable database does not block shutdown; peers rescue the rest. */
  async close(graceMs: number): Promise<void> {
    await within(graceMs, this.door.settled());
    this.#timers.close();
    this.feeds.close();
    this.#backlog.close();
    this.gate.close();
    this.door.close();
    await this.hosts.close();
  }

  #runner(): AttemptRunner {
    const { database, steps, log, metrics } = this.#parts;
    const { reads } = database;
    const children = new ChildTemplates({
      db: reads,
      versions: steps.versions,
      inputs: steps.reader,
      maxDepth: this.#parts.config.limits.maxChildDepth,
    });
    const handlerSeconds = new Map(
      [...steps.stepTypes.keys()].map((type) => [type, metrics.handlerDuration.labels({ type })]),
    );
    return new AttemptRunner({
      ...this.#source,
      db: reads,
      evaluator: steps.evaluator,
      log,
      maxOutputBytes: this.#parts.config.limits.maxOutputBytes,
      end: new AttemptEnd({
        store: steps.store,
        log,
        msUntil: (instant) => msUntil(reads, instant),
        prepareChild: (executionId, child, inputs) => children.prepare(executionId, child, inputs),
        post: (key, event) => this.door.post(key, event),
        finished: (type, durationMs) => handlerSeconds.get(type)!.observe(durationMs / 1000),
        refused: () => metrics.staleCompletions.inc(),
      }),
      userTypes: steps.userTypes,
      hosts: this.hosts,
      runScript: (code, input, options, stepLog) => runScript(steps.sandbox, code, input, options, stepLog),
      keepTurn: (attempt, number, turn) => keepTurn(database.workPool, steps.store, attempt, number, turn),
      newLog: () => new AttemptLog(steps.store, this.#parts.config.limits),
      admission: (stepId) => this.gate.begun(stepId),
    });
  }

  #createHeldInbox(): HeldInbox {
    const { database, hasPeers, onError } = this.#parts;
    const { actors } = this.committer;
    return new HeldInbox({ db: database.reads, actors, hasPeers, wake: () => this.door.wake(), onError });
  }

  /** @param subscribers in the order in which they are called after a commit */
  #createCommitter(observer: CommitObserver, subscribers: readonly CommitSubscriber[]): Committer {
    const { database, steps, config, hasPeers } = this.#parts;
    return new Committer({
      queue: database.queue,
      capacity: this.dispatcher,
      outputs: new ExecutionOutputs(this.#source, steps.evaluator, steps.store),
      subscribers,
      observer,
      stopGraceMs: config.limits.stopGraceMs,
      maxOutputBytes: config.limits.maxOutputBytes,
      hasPeers,
      wake: () => this.door.wake(),
    });
  }
}

function runsLong({ startedAt }: { readonly startedAt: number }): boolean {
  return performance.now() - startedAt > LONG_RUN_MS;
}
