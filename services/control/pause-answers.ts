/**
 * Answers about pause and resume, in the field names of the API.
 */
import type { ExecutionStatus } from '../../core/status.ts';
import type { Caller } from '../caller.ts';

export interface ControlledBody {
  execution_id: string;
  status: ExecutionStatus;
}

export interface PausePort {
  pause(caller: Caller, executionId: string): Promise<ControlledBody>;
  resume(caller: Caller, executionId: string): Promise<ControlledBody>;
}
