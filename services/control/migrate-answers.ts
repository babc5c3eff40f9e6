/**
 * Requests and answers of `migrate`, in the field names of the API.
 */

import type { DryRun } from '../../core/control/dry-run.ts';
import type { ExecutionStatus } from '../../core/status.ts';
import type { Caller } from '../caller.ts';

export interface MigrateBody {
  execution_id: string;
  version: number;
  /** Keys of the version by those that the execution has; null: the step is dropped. */
  map?: Record<string, string | null> | undefined;
  dry_run?: boolean | undefined;
}

export interface MigrateResult {
  execution_id: string;
  status: ExecutionStatus;
  version: number;
}

export interface MigratePort {
  migrate(caller: Caller, body: MigrateBody): Promise<MigrateResult | DryRun>;
}
