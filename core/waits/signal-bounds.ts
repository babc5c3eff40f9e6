/**
 * The bounds of signals: one set for the API and for SQL (db/functions/), whose functions get them filled in.
 */
export const SIGNAL_BOUNDS = {
  /** Characters of a signal's name. */
  maxNameLength: 200,
  /** Characters of a signal_id. */
  maxIdLength: 255,
  /** Signals of one execution for which no step has waited yet. */
  maxKept: 1_000,
} as const;
