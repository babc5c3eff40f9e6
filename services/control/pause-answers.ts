/**
 * Requests and answers about pause and resume, and the dry runs of calls without options, in the field names of the API.
 */
import type { DryRun } from '../../core/control/dry-run.ts';
import type { Caller } from '../caller.ts';
import type { ControlledExecution } from './retry-answers.ts';

export interface PausePort {
  pause(caller: Caller, executionId: string): Promise<ControlledExecution>;
  resume(caller: Caller, executionId: string): Promise<ControlledExecution>;
}

/** Calls that only name an execution. */
export type PlainAct = 'pause' | 'resume' | 'stop' | 'cancel';

export interface DryRunPort {
  dryRun(caller: Caller, executionId: string, act: PlainAct): Promise<DryRun>;
}
