/**
 * The capacity of this process for running steps, as the door sees it. The worker implements it; an engine that only
 * serves the API has none.
 */
import type { Claim } from '../core/event.ts';
import type { Graph } from '../core/graph.ts';
import type { StepState } from '../core/view.ts';
import type { Actor, Loaded } from './actor.ts';

/** A ready step for which capacity is reserved. */
export interface ReservedStep {
  readonly loaded: Loaded;
  readonly slot: number;
}

/**
 * How steps became ready: by a commit of this process, by one that folds ends of other engines, or before, as was read from the
 * database (or they are offered again).
 */
export type ReadyBy = 'here' | 'ends elsewhere' | 'loaded';

export interface Capacity {
  /** The engine's id: the owner in every claim of this process. */
  readonly owner: string;
  /**
   * Returns whether a new execution may begin here at once. Either capacity is free, nothing older waits for it, and
   * its frontier together with those of the executions in progress is not much wider than the capacity. Or nothing is
   * free, but its workspace has no step waiting for the next free slot.
   */
  hasRoom(graph: Graph, workspaceId: string | null): boolean;
  /** An execution began here: its width counts until it is over or has no more work in this process. */
  admit(loaded: Loaded): void;
  dismiss(actor: Actor): void;
  /** Steps that are ready and may be claimed here; some are left to other engines. */
  offer(loaded: Loaded, slots: readonly number[], by?: ReadyBy): void;
  /** Returns whether this process is about to claim a ready step, so that the other engines need not look for it yet. */
  isKept(stepId: string): boolean;
  /** Reserves capacity for the next ready step; null: nothing is free, or no step is ready. */
  reserve(): ReservedStep | null;
  /** The claim failed; its capacity is free again. */
  refund(step: ReservedStep): void;
  /** The claim is committed: run the step. */
  begin(step: ReservedStep, stepId: string, claim: Claim): void;
  /** Returns whether a handler of this process runs the step in this attempt, or its claim is being committed. */
  holds(stepId: string, attempt: number): boolean;
  /** Steps that must stop running; `graceful` gives their handlers the grace time. */
  abort(steps: readonly Pick<StepState, 'id'>[], graceful: boolean): void;
  /** Steps whose result counts no more: it is still heard within the grace time. */
  lose(stepIds: readonly string[], graceMs: number): void;
}
