/**
 * Who hears of commits.
 */
import type { DecidedUnit, Unit } from './unit.ts';

/**
 * Hears of every commit, after the actors have kept its payloads and before its handlers begin. Subscribers are called in
 * the order of their list; they change nothing that was committed and never throw.
 */
export interface CommitSubscriber {
  /** @param durationMs from the decision to the database's answer */
  committed(units: readonly DecidedUnit[], durationMs: number): void;
}

/** Hears of commits that failed. */
export interface CommitObserver {
  /** A fast commit did not go through and is decided again under locks. */
  conflict(error: unknown): void;
  /** @param unit whose events are given up; null: a locked commit is tried again */
  commitFailed(error: unknown, unit: Unit | null): void;
}
