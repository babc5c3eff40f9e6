/**
 * Turns of steps with limits: the dispatcher and the gate, as they see each other.
 */
import type { ReservedStep } from '../../door/capacity.ts';
import type { LimitedStep } from './limited-step.ts';

/** The dispatcher, as the gate sees it. */
export interface Turns {
  /** Queues the step for its turn, at which `popped` is called. */
  enqueue(step: LimitedStep): void;
  /** The step is granted and keeps the capacity with which it asked. */
  grant(step: LimitedStep): void;
  /** The capacity with which the step asked is free again. */
  release(step: LimitedStep): void;
  /** Whether a handler of this process runs for the step. */
  runs(stepId: string): boolean;
}

/** The gate, as the dispatcher sees it. */
export interface Gate {
  /** Takes a ready step with limits: of a commit in flight, of an execution just loaded, or skipped before. */
  offer(step: ReservedStep): void;
  /** Returns what to do with a step whose turn has come: `start` it, let it `ask` with its capacity, or `drop` it. */
  popped(step: LimitedStep, canRun: boolean): 'start' | 'ask' | 'drop';
}
