/**
 * The starts of a rate that count: a sliding window, made of slices of time.
 *
 * A granted step is to start before the end of its slice, and counts until that end has left the window. So no window of
 * the rate's length has more starts than its limit, wherever it begins, although one count per slice is kept and not the
 * time of each start.
 */
export interface Slice {
  /** In milliseconds of the database's epoch. */
  readonly endsMs: number;
  /** Starts that were granted in it. */
  readonly count: number;
}

const SLICES = 20;
/** A step that was granted needs a moment to start. */
const SHORTEST_SLICE_MS = 100;

function sliceMs(perMs: number): number {
  return Math.max(perMs / SLICES, Math.min(SHORTEST_SLICE_MS, perMs / 2));
}

/** Returns the end of the slice in which a step that is granted now starts: half a slice away at least. */
export function sliceEnd(nowMs: number, perMs: number): number {
  const length = sliceMs(perMs);
  return (Math.floor(nowMs / length + 0.5) + 1) * length;
}

/** Returns the slices whose starts count still. */
export function countingSlices(slices: readonly Slice[], nowMs: number, perMs: number): Slice[] {
  return slices.filter(({ endsMs }) => endsMs + perMs > nowMs);
}

/** Returns the slices with so many starts more. */
export function withStarts(slices: readonly Slice[], endsMs: number, count: number): Slice[] {
  const before = slices.find((slice) => slice.endsMs === endsMs)?.count ?? 0;
  return [...slices.filter((slice) => slice.endsMs !== endsMs), { endsMs, count: before + count }];
}

/** Returns milliseconds until the first of the starts counts no more; null: none counts. */
export function freedInMs(slices: readonly Slice[], nowMs: number, perMs: number): number | null {
  const ends = slices.map(({ endsMs }) => endsMs);
  return ends.length === 0 ? null : Math.min(...ends) + perMs - nowMs;
}
