/**
 * The verdict whether a series of a soak run grows: the rise of a straight line through its last two thirds, by least
 * squares, against the allowed rise.
 *
 * Not growth: the noise of the series (two standard errors of the slope), and the part that another series explains
 * (tables, by the executions that are kept in them). A series that falls is fine.
 */
export interface Point {
  /** Seconds. */
  readonly at: number;
  readonly value: number;
}

/** The allowed rise of a series over the judged time: a share of its mean, and an amount. */
export interface Tolerance {
  readonly share: number;
  readonly slack: number;
}

export interface Line {
  readonly mean: number;
  /** The rise of the line from the first point to the last. */
  readonly rise: number;
  /** Two standard errors of the rise. */
  readonly noise: number;
}

export interface Growth extends Line {
  /** The part of the rise that another series explains. */
  readonly explained: number;
  readonly allowed: number;
  readonly grows: boolean;
}

/** A line through fewer points says nothing. */
const FEWEST_POINTS = 6;
const JUDGED_SHARE = 2 / 3;

/** The points that are judged. */
export function lastTwoThirds(points: readonly Point[]): readonly Point[] {
  const [first, last] = [points[0]?.at ?? 0, points.at(-1)?.at ?? 0];
  const from = last - (last - first) * JUDGED_SHARE;
  return points.filter(({ at }) => at >= from);
}

/** Null: too few points. */
export function lineThrough(points: readonly Point[]): Line | null {
  const n = points.length;
  if (n < FEWEST_POINTS) return null;
  const meanAt = mean(points.map(({ at }) => at));
  const meanValue = mean(points.map(({ value }) => value));
  const spread = sum(points.map(({ at }) => (at - meanAt) ** 2));
  const slope = sum(points.map(({ at, value }) => (at - meanAt) * (value - meanValue))) / spread;
  const errors = points.map(({ at, value }) => (value - meanValue - slope * (at - meanAt)) ** 2);
  const standardError = Math.sqrt(sum(errors) / (n - 2) / spread);
  const span = points.at(-1)!.at - points[0]!.at;
  return { mean: meanValue, rise: slope * span, noise: 2 * standardError * span };
}

/**
 * @param points all of the series
 * @param cause the series that it follows in proportion, over the same time; null: none
 * @returns null: too few points
 */
export function growthOf(
  points: readonly Point[],
  { share, slack }: Tolerance,
  cause: readonly Point[] | null = null,
): Growth | null {
  const line = lineThrough(lastTwoThirds(points));
  if (line === null) return null;
  const causing = cause === null ? null : lineThrough(lastTwoThirds(cause));
  const explained =
    causing === null || causing.mean <= 0 ? 0 : Math.max(0, causing.rise / causing.mean) * line.mean;
  const allowed = Math.abs(line.mean) * share + slack;
  return { ...line, explained, allowed, grows: line.rise - line.noise - explained > allowed };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}
