/**
 * Whether an engine understands a definition that was published once.
 */
import type { Problem } from '../core/problem.ts';

/** Plain data: it may come from another process. */
export interface Judgement {
  /** Problems that keep the whole definition from being understood. */
  readonly errors: readonly Problem[];
  /** By step key, the problem that keeps that step from being run here, and no other step from anything. */
  readonly faults: Readonly<Record<string, Problem>>;
}
