/**
 * Counts the door's commits. Named events in, metrics and log lines out; it decides nothing.
 */
import type { Event } from '../core/event.ts';
import type { Plan, StepChange } from '../core/plan.ts';
import { cutText } from '../core/text/cut.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import type { TemplateCounters, TemplateMetrics } from './template-metrics.ts';

/** One committed unit, as telemetry needs it. */
export interface CommittedUnit {
  readonly mails: readonly { readonly event: Event }[];
  /** Null: the execution existed before. */
  readonly start: unknown | null;
  readonly loaded: {
    readonly version: { readonly name: string; readonly version: number };
    /** Start, of performance.now(); null: not begun. */
    readonly begunAt: number | null;
  };
  readonly plan: Plan;
}

const FINAL = new Set(['completed', 'failed', 'skipped', 'cancelled']);
/** A commit may end many steps, and each of them has a line. */
const MAX_REASON_LENGTH = 1_000;
const OUTCOMES = new Set(['complete', 'fail', 'skip', 'park']);

export class ExecutionObserver {
  readonly #metrics: Metrics;
  readonly #templates: TemplateMetrics;
  readonly #log: Log;

  constructor(metrics: Metrics, templates: TemplateMetrics, log: Log) {
    this.#metrics = metrics;
    this.#templates = templates;
    this.#log = log;
  }

  /**
   * Counters are raised once per commit, not once per step. A look at the queues that found nothing is not a commit.
   */
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
    if (tally.late > 0) metrics.staleCompletions.inc(tally.late);
    for (const [{ started }, number] of tally.started) started.inc(number);
    for (const [{ stepsFailed }, number] of tally.failed) stepsFailed.inc(number);
    for (const [counter, number] of tally.ended) counter.inc(number);
    for (const [queue, number] of tally.claims) metrics.claims.inc({ queue }, number);
    for (const [type, number] of tally.retries) metrics.stepRetries.inc({ type }, number);
    for (const [type, statuses] of tally.finished) {
      for (const [status, number] of statuses) metrics.stepsFinished.inc({ type, status }, number);
    }
  }

  #unit(unit: CommittedUnit, tally: Tally): void {
    const { start, plan, loaded } = unit;
    if (start !== null) count(tally.started, this.#templates.of(loaded.version.name));
    for (const [slot, change] of plan.steps) {
      const { type, needsCount } = plan.view.graph.steps[slot]!;
      const { status } = change.state;
      if (FINAL.has(status)) count(tally.finishedOf(type), status);
      if (change.claimed) count(tally.claims, needsCount > 1 ? 'MergeExecutionQueue' : 'StepExecutionQueue');
      if (status === 'retrying') count(tally.retries, type);
      if (status === 'failed') count(tally.failed, this.#templates.of(loaded.version.name));
      if (change.error !== null && (status === 'failed' || status === 'retrying'))
        this.#tellFailure(unit, slot, change);
    }
    this.#tellLost(unit);
    for (const { type } of plan.late) if (OUTCOMES.has(type)) tally.late += 1;
    if (plan.end !== null && plan.view.scope === null) this.#end(unit, plan.end, tally);
  }

  #tellFailure(unit: CommittedUnit, slot: number, { state, error, from, timer }: StepChange): void {
    const failed = unit.mails.find(({ event }) => event.type === 'fail' && event.slot === slot);
    const ranMs = failed?.event.type === 'fail' ? failed.event.ranMs : undefined;
    const { code, message } = error!;
    this.#log.warn(
      {
        ...executionOf(unit),
        ...stepOf(unit, slot),
        attempt: state.attempt,
        ...(from?.owner == null ? {} : { engine: from.owner }),
        status: state.status,
        code,
        reason: cutText(message, MAX_REASON_LENGTH),
        ...(ranMs === undefined ? {} : { ran_ms: Math.round(ranMs) }),
        ...(state.status === 'retrying' && timer !== null ? { retry_in_ms: Math.round(timer.afterMs) } : {}),
      },
      'A step failed',
    );
  }

  /** Attempts that ended with the process that ran them. */
  #tellLost(unit: CommittedUnit): void {
    for (const { event } of unit.mails) {
      if (event.type !== 'rescue' && event.type !== 'displace') continue;
      if (unit.plan.late.includes(event)) continue;
      const { slot, claim } = event;
      const fields = { attempt: claim.attempt, engine: claim.owner };
      this.#log.warn(
        { ...executionOf(unit), ...stepOf(unit, slot), ...fields, crashed: event.type === 'rescue' },
        'An attempt was lost with its process; the step gets another',
      );
    }
  }

  #end(unit: CommittedUnit, { status, error }: NonNullable<Plan['end']>, tally: Tally): void {
    const { version, begunAt } = unit.loaded;
    const { finished, duration }: TemplateCounters = this.#templates.of(version.name);
    const ranMs = begunAt === null ? null : performance.now() - begunAt;
    count(tally.ended, finished[status]);
    if (ranMs !== null) duration.observe(ranMs / 1000);
    if (!this.#log.isLevelEnabled('info')) return;
    this.#log.info(
      {
        ...executionOf(unit),
        status,
        ...(error === null
          ? {}
          : { step: error.step, code: error.code, reason: cutText(error.message, MAX_REASON_LENGTH) }),
        ...(ranMs === null ? {} : { ran_ms: Math.round(ranMs) }),
      },
      'An execution ended',
    );
  }

  conflict(error: unknown): void {
    this.#log.debug({ err: error }, 'A commit is decided again under locks');
  }

  /** @param unit whose events are dropped; null: they are retried */
  commitFailed(error: unknown, unit: RefusedUnit | null): void {
    if (unit === null) this.#log.debug({ err: error }, 'A commit is tried again');
    else this.#log.error({ ...refusedOf(unit), err: error }, 'A commit was refused');
  }
}

/** A unit whose events are dropped. */
export interface RefusedUnit {
  readonly actor: { readonly executionId: string; readonly loaded: CommittedUnit['loaded'] | null };
  readonly mails: CommittedUnit['mails'];
}

function executionOf({ plan, loaded: { version } }: Pick<CommittedUnit, 'plan' | 'loaded'>) {
  return { execution: plan.view.id, template: version.name, version: version.version };
}

function stepOf({ plan }: CommittedUnit, slot: number) {
  const { key, type } = plan.view.graph.steps[slot]!;
  return { step: key, type };
}

function refusedOf({ actor: { executionId: id, loaded }, mails }: RefusedUnit) {
  const named = loaded === null ? {} : { template: loaded.version.name, version: loaded.version.version };
  return { execution: id, ...named, events: [...new Set(mails.map(({ event }) => event.type))] };
}

/** The increments of one commit. */
class Tally {
  late = 0;
  readonly started = new Map<TemplateCounters, number>();
  /** Numbers of executions. */
  readonly ended = new Map<TemplateCounters['finished']['completed'], number>();
  /** Numbers of steps. */
  readonly failed = new Map<TemplateCounters, number>();
  readonly claims = new Map<string, number>();
  readonly retries = new Map<string, number>();
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

function count<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
