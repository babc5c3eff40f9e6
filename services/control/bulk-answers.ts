/**
 * Requests and answers of calls on all executions that fit a filter, in the field names of the API.
 */
import type { ErrorCode } from '../../core/problem.ts';
import type { Caller } from '../caller.ts';
import type { ExecutionFilter } from '../execution-answers.ts';

export const BULK_ACTS = ['cancel', 'retry', 'pause', 'resume'] as const;
export type BulkAct = (typeof BULK_ACTS)[number];

/** Executions that one call looks at. */
export const BULK_LIMIT = { default: 1_000, most: 10_000 };

export interface BulkBody {
  filter?: Omit<ExecutionFilter, 'limit' | 'cursor' | 'sort'> | undefined;
  limit?: number | undefined;
  /** `next_cursor` of the call before, with the same filter. */
  cursor?: string | undefined;
  dry_run?: boolean | undefined;
}

export interface RefusedExecution {
  execution_id: string;
  code: ErrorCode;
}

export interface BulkResult {
  /** Set by a dry run: nothing has changed, and `changed` are those that would. */
  dry_run?: true | undefined;
  /** Executions that were looked at. */
  matched: number;
  changed: number;
  refused: RefusedExecution[];
  /** Whether others may fit: go on with `next_cursor`. */
  more: boolean;
  next_cursor: string | null;
}

export interface BulkPort {
  run(caller: Caller, act: BulkAct, body: BulkBody): Promise<BulkResult>;
}
