/**
 * The facts that a view does not have: times, waits, and what is around the execution.
 */
import type { WaitingFor } from '../event.ts';
import type { ExecutionView } from '../view.ts';
import type { ChildFacts, EngineFacts, HolderFacts, LimitFacts } from './reason.ts';

/** The row of a step, besides its state in the view. */
export interface StepFacts {
  /** When it came into its present status. */
  readonly sinceMs: number;
  readonly waitingFor: WaitingFor | null;
  readonly timerAt: number | null;
  /** The end of the timeout of an attempt that was parked. */
  readonly deadlineAt: number | null;
  readonly error: { readonly code: string; readonly message: string } | null;
}

export interface ExecutionFacts {
  /** Of a pending one: when it begins; null: as soon as its turn comes. */
  readonly startAt: number | null;
  /** Of a pending one: its place in the line of its workspace, from 1; null: not known. */
  readonly position: number | null;
  /** Null: not known. */
  readonly paused: {
    readonly sinceMs: number;
    readonly by: string | null;
  } | null;
  readonly stopRequestedAt: number | null;
  readonly graceEndsAt: number | null;
}

/** What is around the steps that are explained; of others nothing is known. */
export interface Surroundings {
  readonly engines: readonly EngineFacts[];
  /** Every type of the template. */
  readonly types: readonly string[];
  /** Steps that hold places on engines, some of them. */
  readonly slotHolders: readonly HolderFacts[];
  /** By the id of the step. Null: not known outside the engine that has it. */
  readonly limits: ReadonlyMap<string, readonly LimitFacts[] | null>;
  readonly children: ReadonlyMap<string, ChildFacts>;
  readonly openScopes: ReadonlyMap<string, readonly string[]>;
  /** Ends of the leases of claimed tasks. */
  readonly leases: ReadonlyMap<string, number>;
  /** Ids of the groups of open incidents. */
  readonly incidents: ReadonlyMap<string, string>;
}

export interface Situation {
  readonly view: ExecutionView;
  readonly execution: ExecutionFacts;
  /** By slot; undefined: it has no row. */
  readonly steps: readonly (StepFacts | undefined)[];
  readonly around: Surroundings;
}
