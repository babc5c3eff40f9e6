/**
 * Requests and answers of `migrate`, in the field names of the API.
 */

import type { DryRun } from '../../core/control/dry-run.ts';
import type { ExecutionStatus } from '../../core/status.ts';
import type { Caller } from '../caller.ts';
import type { BulkBody, BulkResult } from './bulk-answers.ts';

export interface MigrateBody {
  /** One of `execution_id` and `filter`. */
  execution_id?: string | undefined;
  filter?: BulkBody['filter'];
  /** With a filter. */
  limit?: number | undefined;
  /** With a filter. */
  cursor?: string | undefined;
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
  migrate(caller: Caller, body: MigrateBody): Promise<MigrateResult | BulkResult | DryRun>;
}
