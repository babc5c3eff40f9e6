/**
 * Requests and answers of `fork`, in the field names of the API.
 */

import type { DryRun } from '../../core/control/dry-run.ts';
import type { Json } from '../../core/json/json.ts';
import type { Caller } from '../caller.ts';
import type { StartResult } from '../execution-answers.ts';

export interface ForkBody {
  execution_id: string;
  /** The key of a step of the top level: it and all after it start anew. */
  from: string;
  /** Left out: those of the source. */
  inputs?: Json | undefined;
  /** Values that become the outputs of steps, by key. */
  outputs?: Record<string, Json> | undefined;
  /** Left out: that of the source. */
  version?: number | undefined;
  dry_run?: boolean | undefined;
}

export interface ForkPort {
  /** @param key idempotency key; null: none */
  fork(caller: Caller, body: ForkBody, key: string | null): Promise<StartResult | DryRun>;
}
