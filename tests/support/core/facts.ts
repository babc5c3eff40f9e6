/**
 * The oracle's vocabulary: the facts it is told and the verdict it gives, in words of its own.
 */
/** Something that happened to one step; a fact carries no claim, so a stale claim's fact must not be told. */
export type StepFact =
  | { fact: 'claimed'; key: string }
  | { fact: 'completed'; key: string; routes: readonly string[] | null }
  | { fact: 'failed'; key: string; retryable: boolean; begun: boolean }
  | { fact: 'guarded'; key: string }
  /** `holds`: until it is resumed it has open scopes. `opens`: it opens new ones. */
  | { fact: 'parked'; key: string; holds?: boolean; opens?: boolean }
  | { fact: 'resumed'; key: string }
  /** More of its scopes have failed than it tolerates. `open`: others are open. */
  | { fact: 'scopes failed'; key: string; retryable: boolean; open?: boolean }
  /** The scopes of a step that has failed are over, which had time to end. */
  | { fact: 'scopes over'; key: string }
  /** Its scopes are undone, all of them. */
  | { fact: 'scopes undone'; key: string }
  /** `open`: it has open scopes. */
  | { fact: 'timed out'; key: string; open?: boolean }
  /** From outside, while it waits. */
  | { fact: 'answered'; key: string }
  | { fact: 'task claimed'; key: string }
  | { fact: 'worker lost'; key: string; losses: number }
  | { fact: 'refused'; key: string; retryable: boolean }
  | { fact: 'retry due'; key: string }
  | { fact: 'released'; key: string }
  | { fact: 'lost'; key: string };
export type ExecutionFact = {
  /** `undo`: a scope that is over is undone from now on. */
  fact: 'begin' | 'stop' | 'stop overdue' | 'cancel' | 'time out' | 'reject' | 'pause' | 'resume' | 'undo';
};
export type Fact = StepFact | ExecutionFact;

export type OracleStatus =
  /** No edge of the step is resolved yet, so it has no row. */
  | 'absent'
  | 'waiting_inputs'
  | 'queued'
  | 'running'
  | 'waiting'
  | 'retrying'
  | 'completed'
  | 'failed'
  | 'skipped'
  | 'cancelled';
export type OracleEdge = 'open' | 'live' | 'dead';

export interface Verdict {
  execution:
    | 'pending'
    | 'running'
    | 'paused'
    | 'compensating'
    | 'completed'
    | 'failed'
    | 'cancelled'
    | 'timed_out';
  stopRequested: boolean;
  /** The step whose scopes are being undone; null: none. */
  undoing: string | null;
  /** The first unhandled failure; null while there is none. */
  error: string | null;
  steps: Record<string, OracleStatus>;
  /** By consumer, one for each of its edges in their order. */
  edges: Record<string, OracleEdge[]>;
  attempts: Record<string, number>;
}
