/**
 * The reason that holds a step back as a whole, whatever it waits for itself: the end of its execution, or a pause.
 */
import type { WaitingFor } from '../event.ts';
import { type HeldScopes, unopened } from '../scopes/held-scopes.ts';
import type { ExecutionStatus, StepStatus } from '../status.ts';

export interface HeldExecution {
  readonly status: ExecutionStatus;
  readonly isStopping: boolean;
}

/** A step that is not final. */
export interface HeldStep {
  /** Null: it has no row. */
  readonly status: StepStatus | null;
  readonly waitingFor: WaitingFor | null;
  /** The numbers of its scopes; null: it holds none. */
  readonly held: HeldScopes | null;
  readonly isCompensation: boolean;
}

/**
 * Returns what holds the step; null: nothing but its own reason. A stop comes before a pause. A compensation goes on in an
 * execution that ends.
 */
export function holdOf(
  { status, isStopping }: HeldExecution,
  step: HeldStep,
): 'stop' | 'compensating' | 'paused' | null {
  if (step.isCompensation) return null;
  if (status === 'compensating') return 'compensating';
  if (isStopping) return 'stop';
  return status === 'paused' && isHeldBack(step) ? 'paused' : null;
}

/**
 * A pause holds back claims of steps and tasks, and the opening of scopes. Everything else goes on: timers, answers, handlers.
 */
function isHeldBack({ status, waitingFor, held }: HeldStep): boolean {
  if (status === 'queued') return true;
  if (status !== 'waiting') return false;
  if (held !== null) return held.open === 0 && unopened(held) > 0;
  return waitingFor?.kind === 'task' && waitingFor.claimed_by == null;
}
