/**
 * What the door asks of whoever runs steps in this process. The worker implements it; an engine that only
 * serves the API has one that never takes anything.
 */

import type { Claim } from '../core/event.ts';
import type { Graph } from '../core/graph.ts';
import type { StepState } from '../core/view.ts';
import type { Actor } from './actor.ts';

export interface Claims {
  /** The engine's id: the owner in every claim of this process. */
  readonly owner: string;
  /**
   * Whether a new execution may begin here at once: slots are free, nothing older waits for them, and its
   * frontier together with those of the executions under way is not far wider than the slots. Or no slot is free,
   * but its workspace has nothing in the line for the next one.
   */
  hasRoom(graph: Graph, workspaceId: string | null): boolean;
  /** An execution began here: its width counts until it is over or has nothing to do in this process. */
  admit(actor: Actor): void;
  dismiss(actor: Actor): void;
  /** Steps that became ready and may be claimed here. */
  offer(actor: Actor, positions: readonly number[]): void;
  /** The next ready step, with a slot reserved for it; null: no slot or nothing ready. */
  take(): { readonly actor: Actor; readonly position: number } | null;
  /** A step that was taken was not to be had: its slot is free again. */
  refund(actor: Actor, position: number): void;
  /** The claim is committed: run the step. */
  begin(actor: Actor, position: number, stepId: string, claim: Claim): void;
  /** Whether a handler of this process runs for the step under this attempt, or a claim of it is on its way. */
  holds(stepId: string, attempt: number): boolean;
  /** Steps that must not run any more; `graceful` leaves their handlers the grace time. */
  abort(states: readonly StepState[], graceful: boolean): void;
}
