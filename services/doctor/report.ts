/**
 * What the doctor is asked and what it answers, in the words of the API.
 */

export interface DoctorRequest {
  /** Also every final execution, whenever it was, and every execution as a whole; takes as long as it takes. */
  readonly everything: boolean;
  /** How long something must have been so, in seconds of the database's clock; null: each invariant's own grace. */
  readonly graceSeconds: number | null;
  /** Names of invariants that may be broken here. */
  readonly accept: readonly string[];
}

export interface DoctorExample {
  /** Of the row: a step, an execution, a job, or whatever `detail` says. */
  id: string;
  execution_id: string | null;
  detail: string;
}

export interface DoctorFinding {
  invariant: string;
  meaning: string;
  advice: string;
  count: number;
  examples: DoctorExample[];
}

export interface DoctorReport {
  /** Every invariant was looked at and holds. */
  ok: boolean;
  findings: DoctorFinding[];
  /** What a repair put right, in rows. */
  repaired: { invariant: string; count: number }[];
  /** The invariants that were looked at. */
  checked: string[];
  /** Those that could not be, and why. */
  unanswered: { invariant: string; reason: string }[];
}

export interface DoctorPort {
  /** @throws EngineError `validation_failed` when `accept` names no invariant */
  examine(request: DoctorRequest): Promise<DoctorReport>;
  /** Puts right what can be put right without a guess, and examines again. @throws as `examine` */
  repair(request: DoctorRequest): Promise<DoctorReport>;
}
