/**
 * The ways in which an attempt can end, and the one reader of what a handler returns.
 *
 * An outcome says what happened, in the handler's terms: nothing of it is checked, masked or stored yet. Readers of an
 * outcome have a case for every kind; the compiler refuses one that misses a kind. Thrown errors become `failed`
 * (failure.ts), and every outcome becomes an event for the door (outcome-event.ts).
 */

import type { WaitingFor } from '../core/event.ts';
import type { Json } from '../core/json/json.ts';
import {
  Child,
  type ChildToStart,
  Holding,
  Parked,
  type Pause,
  Routed,
  type ScopesToOpen,
  type StepFailure,
} from '../steps/step-type.ts';

export type Outcome =
  /** The handler returned an output. A step host returns a JsonPayload: checked and masked. */
  | { readonly kind: 'completed'; readonly output: unknown; readonly routes: readonly string[] | null }
  /** The handler left the process until its pause is over or the outside answers. */
  | {
      readonly kind: 'parked';
      readonly pause: Pause | null;
      readonly state: Json;
      readonly waitingFor: WaitingFor | null;
    }
  /** The handler left the process until the scopes that it opens have ended. */
  | { readonly kind: 'holding'; readonly scopes: ScopesToOpen; readonly state: Json }
  /** The handler starts a child execution, and may wait for it. */
  | { readonly kind: 'child'; readonly child: ChildToStart }
  /** The guard was falsy. */
  | { readonly kind: 'skipped' }
  | Failed
  | { readonly kind: 'lost'; readonly event: LostBy };

export interface Failed {
  readonly kind: 'failed';
  readonly failure: StepFailure;
  /** The error that was thrown, for the log. */
  readonly thrown: unknown;
  /** Whether an attempt was made: the guard passed and the inputs could be read. */
  readonly begun: boolean;
}

/** The event of a lost attempt: its process died, or was ended because of another step, or others have the step. */
export type LostBy = 'rescue' | 'displace' | 'release';

/** The outcomes of a handler that returns. */
export type Returned = Extract<Outcome, { kind: 'completed' | 'parked' | 'holding' | 'child' }>;

/** Reads what a handler returned. */
export function outcomeOf(result: unknown): Returned {
  if (result instanceof Parked) {
    const { pause, state, waitingFor } = result;
    return { kind: 'parked', pause, state, waitingFor };
  }
  if (result instanceof Holding) return { kind: 'holding', scopes: result.scopes, state: result.state };
  if (result instanceof Child) return { kind: 'child', child: result.child };
  if (result instanceof Routed) return { kind: 'completed', output: result.output, routes: result.routes };
  return { kind: 'completed', output: result, routes: null };
}

/** Result of a stage: the work for the next stage, or the outcome if the attempt ends here. */
export type Staged<T> = T | Outcome | Promise<T | Outcome>;

/** Passes work on to the next stage, at once when it is there. An outcome skips the stages that are left. */
export function proceed<T extends object, R>(staged: Staged<T>, stage: (work: T) => Staged<R>): Staged<R> {
  if (staged instanceof Promise) return staged.then((work) => (isOutcome(work) ? work : stage(work)));
  return isOutcome(staged) ? staged : stage(staged);
}

function isOutcome(staged: object): staged is Outcome {
  return 'kind' in staged;
}
