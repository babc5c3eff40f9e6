/**
 * How steps with limits take their turns: the dispatcher and the gate, as they see each other.
 */
import type { ReservedStep } from '../../door/capacity.ts';
import type { LimitedStep } from './limited-step.ts';

/** The dispatcher, as the gate sees it. */
export interface Turns {
  /** The step takes its turn; when it comes, `popped` is asked. */
  enqueue(step: LimitedStep): void;
  /** The step is granted and keeps the capacity it asked with. */
  grant(step: LimitedStep): void;
  /** The capacity that the step asked with is free again. */
  release(step: LimitedStep): void;
}

/** The gate, as the dispatcher sees it. */
export interface Gate {
  /** A ready step with limits: of a commit on its way, of an execution just loaded, or passed over before. */
  offer(step: ReservedStep): void;
  /** The step's turn has come, with capacity: `start` it, let it `ask` with the capacity, or `drop` it. */
  popped(step: LimitedStep, canRun: boolean): 'start' | 'ask' | 'drop';
}
