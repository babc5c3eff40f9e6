/**
 * Counters by template, so that each workflow can have its own alert.
 *
 * Invariant: there are at most as many labels as the setting says, and one for the rest. Templates get a label of
 * their own in the order in which this process first sees them.
 */
import type { Counter, Histogram } from 'prom-client';
import type { ExecutionEnd } from '../core/plan.ts';
import { visibleText } from '../core/text/visible.ts';
import type { Metrics } from './metrics.ts';

/** The label of all templates beyond the bound. No template can have this name. */
export const OTHER_TEMPLATES = '_other';

const ENDS = ['completed', 'failed', 'cancelled', 'timed_out'] as const satisfies ExecutionEnd['status'][];

type Instruments = Pick<
  Metrics,
  'executionsStarted' | 'executionsFinished' | 'executionDuration' | 'stepsFailed'
>;

/** The instruments of one label. */
export interface TemplateCounters {
  readonly started: Counter.Internal;
  readonly finished: Readonly<Record<ExecutionEnd['status'], Counter.Internal>>;
  readonly duration: Histogram.Internal<'template'>;
  readonly stepsFailed: Counter.Internal;
}

export interface TemplateLabels {
  readonly max: number;
  /** Returns a name without secrets, cut to a bounded length. */
  masked(name: string): string;
}

export class TemplateMetrics {
  readonly #instruments: Instruments;
  readonly #labels: TemplateLabels;
  /** Counters by template name. */
  readonly #known = new Map<string, TemplateCounters>();
  #others: TemplateCounters | null = null;

  constructor(instruments: Instruments, labels: TemplateLabels) {
    this.#instruments = instruments;
    this.#labels = labels;
  }

  of(name: string): TemplateCounters {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    if (this.#known.size >= this.#labels.max) {
      this.#others ??= this.#create(OTHER_TEMPLATES);
      return this.#others;
    }
    const counters = this.#create(visibleText(this.#labels.masked(name)));
    this.#known.set(name, counters);
    return counters;
  }

  /** Creates all counters at the first execution: an increase is visible only from an earlier value. */
  #create(template: string): TemplateCounters {
    const { executionsStarted, executionsFinished, executionDuration, stepsFailed } = this.#instruments;
    const finished = ENDS.map((status) => [status, executionsFinished.labels({ status, template })] as const);
    const counters = {
      started: executionsStarted.labels({ template }),
      finished: Object.fromEntries(finished) as TemplateCounters['finished'],
      duration: executionDuration.labels({ template }),
      stepsFailed: stepsFailed.labels({ template }),
    };
    for (const counter of [counters.started, ...Object.values(counters.finished), counters.stepsFailed])
      counter.inc(0);
    return counters;
  }
}
