/**
 * Spans of time in which ends are counted, and the buckets that are put together from them.
 *
 * All begin at a multiple of their length since the Unix epoch, so that a day begins at midnight UTC. Every bucket is made of a
 * few spans of the longest width that divides it.
 */

/** Widths of the spans that are counted, in seconds. */
export const WIDTHS = [60, 300, 3_600, 86_400] as const;
export type Width = (typeof WIDTHS)[number];

const DAY_SECONDS = 86_400;

/** How long the counts of short spans are kept, in seconds; those of longer ones are kept for ever. */
export const KEPT_SECONDS: ReadonlyMap<Width, number> = new Map([
  [60, 40 * DAY_SECONDS],
  [300, 400 * DAY_SECONDS],
]);

/** Minutes of the buckets that may be asked for. */
const BUCKET_MINUTES = [1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 240, 360, 480, 720, 1_440];
export const BUCKETS_MS: readonly number[] = BUCKET_MINUTES.map((minutes) => minutes * 60_000);
export const MAX_BUCKETS = 1_000;
/** Buckets of an answer for which no length was asked for. */
const USUAL_BUCKETS = 100;

/** Returns the width of the spans of a bucket. */
export function widthOf(bucketMs: number): Width {
  return WIDTHS.findLast((width) => bucketMs % (width * 1_000) === 0)!;
}

export function startOfSpan(atMs: number, widthMs: number): number {
  return Math.floor(atMs / widthMs) * widthMs;
}

/** Buckets from a time on. */
export interface Buckets {
  readonly fromMs: number;
  readonly bucketMs: number;
  readonly count: number;
}

/** Returns the buckets that cover a time. */
export function bucketsOf(sinceMs: number, untilMs: number, bucketMs: number): Buckets {
  const fromMs = startOfSpan(sinceMs, bucketMs);
  return { fromMs, bucketMs, count: Math.max(0, Math.ceil((untilMs - fromMs) / bucketMs)) };
}

/** Returns the shortest length of which about a hundred buckets cover a time. */
export function usualBucket(sinceMs: number, untilMs: number): number {
  const fits = (bucketMs: number) => bucketsOf(sinceMs, untilMs, bucketMs).count <= USUAL_BUCKETS;
  return BUCKETS_MS.find(fits) ?? BUCKETS_MS.at(-1)!;
}
