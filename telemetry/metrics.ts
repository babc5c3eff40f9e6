/**
 * The instruments of the engine, for Prometheus.
 *
 * Not here: the places that count (each in the code that does the work) and serving (api/).
 *
 * Names start with `execution_engine_`; metrics of the process and its runtime keep their well-known names
 * (`process_…`, `nodejs_…`). Counters and histograms are of this process and start at 0; gauges that
 * describe the database are the same in every process that reports them: take their maximum, not their sum.
 *
 * Invariant 1: labels come from closed or configured sets, or are a bounded number of names of templates; never an id, a
 * name of a user or a path.
 * Invariant 2: a scrape answers even when a collector fails or hangs; that collector's gauges are left out, not
 * stale.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { ExecutionStatus, StepStatus } from '../core/status.ts';
import { addProcessMetrics } from './process-metrics.ts';

const PREFIX = 'execution_engine_';

/** Slower collectors are left out of the scrape; scrapers give up after 10 s. */
const COLLECT_TIMEOUT_MS = 5_000;

const FAST_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
const REQUEST_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const HANDLER_SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600];
/** Kept few: each adds a series for every template. */
const EXECUTION_SECONDS = [0.1, 1, 10, 60, 600, 3_600, 21_600, 86_400];
const BATCH_SIZES = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/** Sets gauges at each scrape. */
export type Collector = () => Promise<void> | void;

interface Collection {
  collector: Collector;
  /** Reset when the collector fails. */
  gauges: readonly Pick<Gauge, 'reset' | 'get'>[];
}

/** One value of a gauge with labels. */
export interface Sample<Label extends string> {
  labels: Record<Label, string>;
  value: number;
}

export type Metrics = ReturnType<typeof createMetrics>;

/** @param gauges their names: they are missing in the scrape */
export type CollectErrorHandler = (error: unknown, gauges: readonly string[]) => void;

export interface MetricsOptions {
  version: string;
  /** Called for a collector that failed or was too slow. */
  onCollectError?: CollectErrorHandler | undefined;
}

/** Creates a registry with every instrument of the engine; nothing is global. */
export function createMetrics({ version, onCollectError }: MetricsOptions) {
  const registry = new Registry();
  addRuntime(registry, version);
  const errors = counter(
    registry,
    'collect_errors_total',
    'Collectors that failed or were too slow for a scrape.',
  );
  const collections = new Set<Collection>();
  return {
    ...executionInstruments(registry),
    ...workerInstruments(registry),
    ...databaseInstruments(registry),
    ...processInstruments(registry),
    /** Runs a collector of these gauges at every scrape; the returned function removes it. */
    onCollect(gauges: Collection['gauges'], collector: Collector): () => void {
      const collection = { gauges, collector };
      collections.add(collection);
      return () => collections.delete(collection);
    },
    /** Returns the metrics in the Prometheus text format, collectors included. */
    async render(): Promise<string> {
      await Promise.all([...collections].map((collection) => collect(collection, errors, onCollectError)));
      return registry.metrics();
    },
  };
}

/** Sets a gauge to exactly these samples: label sets of an earlier scrape are gone. */
export function replaceSamples<Label extends string>(
  gauge: Gauge<Label>,
  samples: Iterable<Sample<Label>>,
): void {
  gauge.reset();
  for (const { labels, value } of samples) gauge.set(labels, value);
}

function executionInstruments(registry: Registry) {
  return {
    /** Executions created by this process. */
    executionsStarted: counter(registry, 'executions_started_total', 'Executions created, by template.', [
      'template',
    ]),
    executionsFinished: counter(
      registry,
      'executions_finished_total',
      'Executions that became final, by status and template.',
      ['status', 'template'],
    ),
    executionDuration: histogram(
      registry,
      'execution_duration_seconds',
      'Time from the begin of an execution to its end, by template.',
      EXECUTION_SECONDS,
      ['template'],
    ),
    executionsRemoved: counter(
      registry,
      'executions_removed_total',
      'Executions removed because their time of retention was over.',
    ),
    /** Counted by the gate of starts and by the intake of bodies. */
    requestsRefused: counter(
      registry,
      'requests_refused_total',
      'Requests answered 429, by reason: backlog, process (starts that wait), bytes (of bodies).',
      ['reason'],
    ),
    stepsFinished: counter(registry, 'steps_finished_total', 'Steps that became final, by type and status.', [
      'type',
      'status',
    ]),
    /** See TemplateMetrics. */
    stepsFailed: counter(registry, 'steps_failed_total', 'Steps that failed for good, by template.', [
      'template',
    ]),
    stepRetries: counter(
      registry,
      'step_retries_total',
      'Attempts that failed and are tried again, by type.',
      ['type'],
    ),
    /** Set by a collector, see setActiveExecutions. */
    activeExecutions: gauge(registry, 'active_executions', 'Executions that are not final, by status.', [
      'status',
    ]),
    activeSteps: gauge(registry, 'active_steps', 'Steps that are not final, by status.', ['status']),
  };
}

function workerInstruments(registry: Registry) {
  return {
    queueDepth: gauge(
      registry,
      'queue_depth',
      'Ready steps, due jobs and executions in line that nobody has claimed, by queue.',
      ['queue'],
    ),
    queueOldestAge: gauge(
      registry,
      'queue_oldest_age_seconds',
      'How long the oldest of them has been ready, by queue, however often it was looked at in vain.',
      ['queue'],
    ),
    timerLateness: gauge(
      registry,
      'timer_lateness_seconds',
      'How long the oldest timer is overdue, of a step that waits or an execution that was put off.',
    ),
    claims: counter(registry, 'claims_total', 'Jobs claimed, by queue.', ['queue']),
    staleCompletions: counter(
      registry,
      'stale_completions_total',
      'Results refused because the attempt was no longer the current one.',
    ),
    /** Each call is counted once, also a retry. */
    callbackCalls: counter(
      registry,
      'callback_calls_total',
      'Calls of a callback_url by result: delivered, failed (it is tried again), given_up.',
      ['result'],
    ),
    handlerDuration: histogram(
      registry,
      'handler_duration_seconds',
      'Time a step handler ran, by type.',
      HANDLER_SECONDS,
      ['type'],
    ),
    sandboxKills: counter(
      registry,
      'sandbox_kills_total',
      'Sandboxed evaluations that were ended, by reason.',
      ['reason'],
    ),
    runningSteps: gauge(registry, 'running_steps', 'Steps that run in this process.'),
    capacity: gauge(registry, 'capacity', 'Most steps that this process runs at a time.'),
  };
}

function databaseInstruments(registry: Registry) {
  return {
    transitionDuration: histogram(
      registry,
      'transition_duration_seconds',
      'Time to apply one batch of events, lock to commit.',
      FAST_SECONDS,
    ),
    commitBatchSize: histogram(
      registry,
      'commit_batch_size',
      'Events applied in one transaction.',
      BATCH_SIZES,
    ),
    poolConnections: gauge(
      registry,
      'database_pool_connections',
      'Database connections, by pool and state.',
      ['pool', 'state'],
    ),
  };
}

function processInstruments(registry: Registry) {
  return {
    /** Observed by watchEventLoop in event-loop.ts. */
    eventLoopLag: histogram(
      registry,
      'event_loop_lag_seconds',
      'How much later than asked a timer of this process fires.',
      FAST_SECONDS,
    ),
    httpRequestDuration: histogram(
      registry,
      'http_request_duration_seconds',
      'Time to answer a request of the API, by route, method and status.',
      REQUEST_SECONDS,
      ['route', 'method', 'status'],
    ),
  };
}

/** Sets the gauge of active executions; statuses that are left out read 0. */
export function setActiveExecutions(
  metrics: Metrics,
  counts: Partial<Record<ExecutionStatus, number>>,
): void {
  const statuses = ['pending', 'running', 'paused', 'compensating'] as const satisfies ExecutionStatus[];
  replaceSamples(
    metrics.activeExecutions,
    statuses.map((status) => ({ labels: { status }, value: counts[status] ?? 0 })),
  );
}

/** Sets the gauge of active steps; statuses that are left out read 0. */
export function setActiveSteps(metrics: Metrics, counts: Partial<Record<StepStatus, number>>): void {
  const statuses = [
    'waiting_inputs',
    'queued',
    'running',
    'waiting',
    'retrying',
  ] as const satisfies StepStatus[];
  replaceSamples(
    metrics.activeSteps,
    statuses.map((status) => ({ labels: { status }, value: counts[status] ?? 0 })),
  );
}

function addRuntime(registry: Registry, version: string): void {
  addProcessMetrics(registry);
  const runtime =
    process.versions.bun === undefined ? `node ${process.versions.node}` : `bun ${process.versions.bun}`;
  gauge(registry, 'build_info', 'Always 1; the labels say what runs.', ['version', 'runtime']).set(
    { version, runtime },
    1,
  );
}

async function collect(
  { collector, gauges }: Collection,
  errors: Counter,
  onError: CollectErrorHandler | undefined,
): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const tooSlow = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new Error(`A collector took longer than ${COLLECT_TIMEOUT_MS} ms.`)),
      COLLECT_TIMEOUT_MS,
    );
  });
  try {
    await Promise.race([collector(), tooSlow]);
  } catch (error) {
    for (const gauge of gauges) gauge.reset();
    errors.inc();
    const metrics = await Promise.all(gauges.map((gauge) => gauge.get()));
    onError?.(
      error,
      metrics.map(({ name }) => name),
    );
  } finally {
    clearTimeout(timer);
  }
}

function counter<const Label extends string = never>(
  registry: Registry,
  name: string,
  help: string,
  labels: readonly Label[] = [],
) {
  return new Counter<Label>({ name: PREFIX + name, help, labelNames: labels, registers: [registry] });
}

function gauge<const Label extends string = never>(
  registry: Registry,
  name: string,
  help: string,
  labels: readonly Label[] = [],
) {
  return new Gauge<Label>({ name: PREFIX + name, help, labelNames: labels, registers: [registry] });
}

function histogram<const Label extends string = never>(
  registry: Registry,
  name: string,
  help: string,
  buckets: number[],
  labels: readonly Label[] = [],
) {
  return new Histogram<Label>({
    name: PREFIX + name,
    help,
    buckets,
    labelNames: labels,
    registers: [registry],
  });
}
