/**
 * Counts what the door commits. Named events in, metrics and log lines out; it decides nothing.
 */
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';

/** One committed unit, as far as telemetry looks at it. */
export interface CommittedUnit {
  readonly actor: { readonly id: string };
  readonly mails: readonly unknown[];
  readonly start: unknown | null;
  readonly plan: {
    readonly view: {
      readonly graph: { readonly steps: readonly { readonly key: string; readonly type: string }[] };
    };
    readonly steps: ReadonlyMap<
      number,
      {
        readonly claimed: boolean;
        readonly error: { readonly code: string; readonly message: string } | null;
        readonly state: { readonly status: string; readonly attempt: number };
      }
    >;
    readonly end: {
      readonly status: string;
      readonly error: {
        readonly code: string;
        readonly message: string;
        readonly step: string | null;
      } | null;
    } | null;
    readonly late: readonly { readonly type: string }[];
  } | null;
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

  committed(units: readonly CommittedUnit[]): void {
    let events = 0;
    for (const unit of units) {
      events += unit.mails.length + (unit.start === null ? 0 : 1);
      this.#unit(unit);
    }
    this.#metrics.commitBatchSize.observe(events);
  }

  #unit({ actor, start, plan }: CommittedUnit): void {
    const metrics = this.#metrics;
    if (start !== null) metrics.executionsStarted.inc();
    for (const [position, change] of plan!.steps) {
      const { key, type } = plan!.view.graph.steps[position]!;
      const { status, attempt } = change.state;
      if (FINAL.has(status)) metrics.stepsFinished.inc({ type, status });
      if (status === 'retrying') metrics.stepRetries.inc({ type });
      if (change.claimed) metrics.claims.inc({ queue: 'StepExecutionQueue' });
      if (change.error !== null && (status === 'failed' || status === 'retrying')) {
        const { code, message } = change.error;
        this.#log.warn(
          { execution: actor.id, step: key, attempt, status, code, reason: message },
          'A step failed',
        );
      }
    }
    for (const { type } of plan!.late) if (OUTCOMES.has(type)) metrics.staleCompletions.inc();
    if (plan!.end === null) return;
    const { status, error } = plan!.end;
    metrics.executionsFinished.inc({ status });
    this.#log.info(
      { execution: actor.id, status, ...(error === null ? {} : { error }) },
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
