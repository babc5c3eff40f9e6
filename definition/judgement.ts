/**
 * The judgement of an engine on a published definition: whether it understands it.
 */
import type { Problem } from '../core/problem.ts';

/** Plain data: it may come from another process. */
export interface Judgement {
  /** Problems that keep the whole definition from being understood. */
  readonly errors: readonly Problem[];
  /** By path of a step, the problem for which this engine cannot run that step; other steps are not affected. */
  readonly faults: Readonly<Record<string, Problem>>;
}
