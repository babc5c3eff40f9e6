/**
 * Statistics of executions from counters that are kept as executions end: how many ended how, and how long they took.
 */
import { EngineError } from '../../core/problem.ts';
import type { RequestProblem } from '../../core/problem-code.ts';
import { ALL, ENDS, type End, workspaceKey } from '../../core/stats/end-counts.ts';
import { Durations } from '../../core/stats/histogram.ts';
import {
  BUCKETS_MS,
  type Buckets,
  bucketsOf,
  KEPT_SECONDS,
  MAX_BUCKETS,
  startOfSpan,
  usualBucket,
  type Width,
  widthOf,
} from '../../core/stats/spans.ts';
import { msUntil } from '../../db/clock.ts';
import type { Pool } from '../../db/connection/client.ts';
import { type CountedSpan, pairsOf, readSpans } from '../../db/stats/end-counts.ts';
import { inSlices } from '../../process/in-slices.ts';
import type { Caller } from '../caller.ts';
import type { EndNumbersBody, StatsBody, StatsPort, StatsQuery } from './stats-answers.ts';

const DAY_MS = 86_400_000;

export class StatsService implements StatsPort {
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  async stats(caller: Caller, query: StatsQuery): Promise<StatsBody> {
    const buckets = await this.#buckets(query);
    const { fromMs, bucketMs, count } = buckets;
    const untilMs = fromMs + count * bucketMs;
    const { template } = query;
    const spans = await readSpans(this.#pool, {
      width: widthOf(bucketMs),
      workspace: workspaceOf(caller, query.workspace_id),
      template: template ?? ALL,
      fromMs,
      untilMs,
    });
    const { numbers, totals } = await inSlices(sumUp(spans, bucketMs));
    return {
      since: new Date(fromMs).toISOString(),
      until: new Date(untilMs).toISOString(),
      bucket_ms: bucketMs,
      template: template ?? null,
      data: Array.from({ length: count }, (_, place) => {
        const at = fromMs + place * bucketMs;
        return { at: new Date(at).toISOString(), ...bodyOf(numbers.get(at) ?? noNumbers()) };
      }),
      totals: bodyOf(totals),
    };
  }

  async #buckets({ since, until, bucket }: StatsQuery): Promise<Buckets> {
    const nowMs = await this.#now();
    const untilMs = until === undefined ? nowMs : Date.parse(until);
    const sinceMs = since === undefined ? untilMs - DAY_MS : Date.parse(since);
    if (sinceMs >= untilMs)
      throw refusal('/since', 'not_allowed', 'since must be before until; give an earlier one.');
    const fits = (ms: number) =>
      bucketsOf(sinceMs, untilMs, ms).count <= MAX_BUCKETS && isKept(widthOf(ms), nowMs - sinceMs);
    const asked = bucket ?? BUCKETS_MS.find((ms) => ms >= usualBucket(sinceMs, untilMs) && fits(ms));
    if (asked !== undefined && fits(asked)) return bucketsOf(sinceMs, untilMs, asked);
    throw refusal('/bucket', 'too_small', adviceOn(BUCKETS_MS.find(fits)));
  }

  /** The database's clock: the counts are of its times. */
  async #now(): Promise<number> {
    return -(await msUntil(this.#pool, new Date(0).toISOString()));
  }
}

/** Returns whether counts of spans are still there that are so old. */
function isKept(width: Width, ageMs: number): boolean {
  return ageMs <= (KEPT_SECONDS.get(width) ?? Number.POSITIVE_INFINITY) * 1_000;
}

function adviceOn(fittingMs: number | undefined): string {
  const most = `An answer has at most ${MAX_BUCKETS} buckets, and those of minutes are kept for a while only`;
  if (fittingMs === undefined) return `${most}; ask for a shorter time.`;
  return `${most}; the shortest that this time can have is ${fittingMs / 60_000}m.`;
}

/** Spans that are added up between two yields. */
const SPANS_AT_ONCE = 20;

interface Numbers {
  readonly ends: Record<End, number>;
  readonly durations: Durations;
}

const noNumbers = (): Numbers => ({
  ends: { completed: 0, failed: 0, cancelled: 0, timed_out: 0 },
  durations: new Durations(),
});

/** Returns the numbers of each bucket that has any, by its beginning, and those of all. Yields now and then. */
function* sumUp(
  spans: readonly CountedSpan[],
  bucketMs: number,
): Generator<void, { numbers: ReadonlyMap<number, Numbers>; totals: Numbers }> {
  const numbers = new Map<number, Numbers>();
  const totals = noNumbers();
  for (const [place, { startsAtMs, ends, durations }] of spans.entries()) {
    if (place % SPANS_AT_ONCE === 0) yield;
    const at = startOfSpan(startsAtMs, bucketMs);
    const ofBucket = numbers.get(at) ?? noNumbers();
    numbers.set(at, ofBucket);
    const pairs = pairsOf(durations);
    for (const sum of [ofBucket, totals]) {
      for (const end of ENDS) sum.ends[end] += ends[end];
      sum.durations.add(pairs);
    }
  }
  return { numbers, totals };
}

function workspaceOf(caller: Caller, asked: string | undefined): string {
  if (caller.admin) return asked ?? ALL;
  return workspaceKey(caller.workspaceId);
}

function refusal(pointer: string, code: RequestProblem, message: string): EngineError {
  return new EngineError('validation_failed', message, [{ pointer, code, message }]);
}

function bodyOf({ ends, durations }: Numbers): EndNumbersBody {
  const { completed, failed, cancelled, timed_out } = ends;
  return {
    total: completed + failed + cancelled + timed_out,
    completed,
    failed,
    cancelled,
    timed_out,
    p50_ms: rounded(durations.percentile(0.5)),
    p95_ms: rounded(durations.percentile(0.95)),
  };
}

/** Three digits say all that is known. */
function rounded(ms: number | null): number | null {
  return ms === null ? null : Number(ms.toPrecision(3));
}
