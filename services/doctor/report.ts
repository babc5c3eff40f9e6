/**
 * Requests and reports of the doctor, in the field names of the API.
 */

export interface DoctorRequest {
  /** Also checks every final execution, of any age, and every execution as a whole; takes as long as needed. */
  readonly everything: boolean;
  /** How long a fault must have lasted, in seconds of the database's clock; null: each invariant's own grace. */
  readonly graceSeconds: number | null;
  /** Names of invariants whose violation is accepted here. */
  readonly accept: readonly string[];
}

export interface DoctorExample {
  /** Id of the row: a step, an execution, a job, or as `detail` says. */
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
  /** True when every invariant was checked and holds. */
  ok: boolean;
  findings: DoctorFinding[];
  /** Number of rows repaired. */
  repaired: { invariant: string; count: number }[];
  /** The invariants that were checked. */
  checked: string[];
  /** The invariants that could not be checked, with the reason. */
  unanswered: { invariant: string; reason: string }[];
}

export interface DoctorPort {
  /** @throws EngineError `validation_failed` when `accept` names no invariant */
  examine(request: DoctorRequest): Promise<DoctorReport>;
  /** Repairs every fault with a certain repair, and examines again. @throws as `examine` */
  repair(request: DoctorRequest): Promise<DoctorReport>;
}
