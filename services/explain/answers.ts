/**
 * Requests and answers of `explain`, in the field names of the API.
 */
import type { ExecutionStatus, StepStatus } from '../../core/status.ts';
import type { Caller } from '../caller.ts';
import type { WaitBody } from '../execution-answers.ts';

export interface ExplainQuery {
  execution_id: string;
  /** Steps of this scope; default the top level. */
  scope?: string | undefined;
  cursor?: string | undefined;
  /** Whether finished steps are told of. */
  history?: boolean | undefined;
}

export interface MissingBody {
  step: string;
  status: StepStatus;
  why: string;
}

export interface ExplainedStepBody {
  /** Null: it has no row yet. */
  id: string | null;
  key: string;
  scope: string;
  status: StepStatus;
  /** A sentence. */
  reason: string;
  /** When it came into its present status; null: it has no row yet. */
  since: string | null;
  /** Null: it runs. */
  waiting_for: WaitBody | null;
  /** Up to 20 inputs that it lacks. */
  missing: MissingBody[];
  /** Of all inputs that it lacks. */
  missing_count: number;
}

/** Where the time of a finished step went. Null: not known. */
export interface SpentBody {
  id: string;
  key: string;
  scope: string;
  status: StepStatus;
  waited: {
    inputs_ms: number | null;
    limit_ms: number | null;
    worker_ms: number | null;
    backoff_ms: number | null;
    parked_ms: number | null;
  };
  ran_ms: number | null;
}

export interface ExplainBody {
  execution_id: string;
  status: ExecutionStatus;
  summary: string;
  steps: ExplainedStepBody[];
  /** Null: it was not asked for. */
  history: SpentBody[] | null;
  next_cursor: string | null;
}

export interface ExplainPort {
  explain(caller: Caller, query: ExplainQuery): Promise<ExplainBody>;
}
