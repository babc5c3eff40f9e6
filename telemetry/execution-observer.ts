/**
 * Counts what the door commits. Named events in, metrics and log lines out; it decides nothing.
 */
import type { Plan } from '../core/plan.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';

/** One committed unit, as far as telemetry looks at it. */
export interface CommittedUnit {
  readonly mails: readonly unknown[];
  /** Null: the execution was there before. */
  readonly start: unknown | null;
  readonly plan: Plan;
}

const FINAL = new Set(['completed', 'failed', 'skipped', 'cancelled']);
const OUTCOMES = new Set(['complete', 'fail', 'skip', 'park']);

export class ExecutionObserver {
  readonly #metrics: Metrics;
  readonly #log: Log;

  constructor(metrics: Metrics, log: Log) {
    this.#metrics = metrics;
    this.#log = log;
  }

  /** Counters are raised once per commit, not once per step. A look at the queues that found nothing is no commit. */
  committed(units: readonly CommittedUnit[], durationMs: number): void {
    if (units.length === 0) return;
    this.#metrics.transitionDuration.observe(durationMs / 1000);
    const tally = new Tally();
    let events = 0;
    for (const unit of units) {
      events += unit.mails.length + (unit.start === null ? 0 : 1);
      this.#unit(unit, tally);
    }
    const metrics = this.#metrics;
    metrics.commitBatchSize.observe(events);
    if (tally.started > 0) metrics.executionsStarted.inc(tally.started);
    if (tally.late > 0) metrics.staleCompletions.inc(tally.late);
    for (const [queue, count] of tally.claims) metrics.claims.inc({ queue }, count);
    for (const [type, count] of tally.retries) metrics.stepRetries.inc({ type }, count);
    for (const [status, count] of tally.ended) metrics.executionsFinished.inc({ status }, count);
    for (const [type, statuses] of tally.finished) {
      for (const [status, count] of statuses) metrics.stepsFinished.inc({ type, status }, count);
    }
  }

  #unit({ start, plan }: CommittedUnit, tally: Tally): void {
    if (start !== null) tally.started += 1;
    for (const [slot, change] of plan.steps) {
      const { key, type, needsCount } = plan.view.graph.steps[slot]!;
      const { status, attempt } = change.state;
      if (FINAL.has(status)) count(tally.finishedOf(type), status);
      if (change.claimed) count(tally.claims, needsCount > 1 ? 'MergeExecutionQueue' : 'StepExecutionQueue');
      if (status === 'retrying') count(tally.retries, type);
      if (change.error === null || (status !== 'failed' && status !== 'retrying')) continue;
      const { code, message } = change.error;
      this.#log.warn(
        { execution: plan.view.id, step: key, attempt, status, code, reason: message },
        'A step failed',
      );
    }
    for (const { type } of plan.late) if (OUTCOMES.has(type)) tally.late += 1;
    if (plan.end === null) return;
    const { status, error } = plan.end;
    count(tally.ended, status);
    if (!this.#log.isLevelEnabled('info')) return;
    this.#log.info(
      { execution: plan.view.id, status, ...(error === null ? {} : { reason: error }) },
      'An execution ended',
    );
  }

  conflict(error: unknown): void {
    this.#log.debug({ err: error }, 'A commit is decided again under locks');
  }

  commitFailed(error: unknown, willRetry: boolean): void {
    if (willRetry) this.#log.debug({ err: error }, 'A commit is tried again');
    else this.#log.error({ err: error }, 'A commit was refused');
  }
}

/** What one commit adds to the counters. */
class Tally {
  started = 0;
  late = 0;
  readonly claims = new Map<string, number>();
  readonly retries = new Map<string, number>();
  readonly ended = new Map<string, number>();
  readonly finished = new Map<string, Map<string, number>>();

  finishedOf(type: string): Map<string, number> {
    let statuses = this.finished.get(type);
    if (statuses === undefined) {
      statuses = new Map();
      this.finished.set(type, statuses);
    }
    return statuses;
  }
}

function count(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}
