/**
 * What happens at the door, for logs and metrics. Observers change nothing and never throw.
 */
import type { Unit } from './unit.ts';

export interface DoorObserver {
  /** A commit went through; the time is from its decision to the database's answer. */
  committed(units: readonly Unit[], durationMs: number): void;
  /** A fast commit did not go through and is decided again under locks. */
  conflict(error: unknown): void;
  /** A locked commit failed and is tried again, or given up. */
  commitFailed(error: unknown, willRetry: boolean): void;
}
