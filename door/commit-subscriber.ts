/**
 * Subscribers to commits.
 */
import type { DecidedUnit, Unit } from './unit.ts';

/**
 * Called for every commit, after the actors have cached its payloads and before its handlers begin. Subscribers are
 * called in the order of their list; they change nothing that was committed and never throw.
 */
export interface CommitSubscriber {
  /** @param durationMs from the decision to the database's answer */
  committed(units: readonly DecidedUnit[], durationMs: number): void;
}

/** Called for commits that failed. */
export interface CommitObserver {
  /** A fast commit failed and is decided again under locks. */
  conflict(error: unknown): void;
  /** @param unit whose events are dropped; null: a locked commit is retried */
  commitFailed(error: unknown, unit: Unit | null): void;
}
