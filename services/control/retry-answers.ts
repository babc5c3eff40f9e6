/**
 * Requests and answers of a retry, in the field names of the API.
 */
import type { DryRun } from '../../core/control/dry-run.ts';
import type { Json } from '../../core/json/json.ts';
import type { ExecutionStatus } from '../../core/status.ts';
import type { Caller } from '../caller.ts';

export interface RetryBody {
  execution_id: string;
  /** Path of a step: it and all downstream of it run again. */
  from?: string | undefined;
  /** Path of a step: it runs again, and what is downstream of it and has not completed. */
  only?: string | undefined;
  /** Results for failed and cancelled steps, by path. */
  outputs?: Record<string, Json> | undefined;
  /** Paths of failed and cancelled steps that are to be skipped. */
  skip?: string[] | undefined;
  dry_run?: boolean | undefined;
}

/** An execution after a call that changed it. */
export interface ControlledExecution {
  execution_id: string;
  status: ExecutionStatus;
}

export interface RetryServicePort {
  /** @throws EngineError when it cannot be done: nothing is changed then */
  retry(caller: Caller, body: RetryBody): Promise<ControlledExecution | DryRun>;
}
