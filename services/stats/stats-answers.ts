/**
 * Statistics of executions, in the field names of the API.
 */
import type { Caller } from '../caller.ts';

export interface StatsQuery {
  /** Instants; default: the last day. */
  since?: string | undefined;
  until?: string | undefined;
  /** Milliseconds; default: about a hundred buckets. */
  bucket?: number | undefined;
  template?: string | undefined;
  workspace_id?: string | undefined;
}

export interface EndNumbersBody {
  total: number;
  completed: number;
  failed: number;
  cancelled: number;
  timed_out: number;
  /** Of the durations of those that had begun; null: there are none. */
  p50_ms: number | null;
  p95_ms: number | null;
}

export interface BucketBody extends EndNumbersBody {
  at: string;
}

export interface StatsBody {
  /** Begin of the first bucket, and end of the last one. */
  since: string;
  until: string;
  bucket_ms: number;
  template: string | null;
  /** All buckets, also those without an end. */
  data: BucketBody[];
  totals: EndNumbersBody;
}

export interface StatsPort {
  stats(caller: Caller, query: StatsQuery): Promise<StatsBody>;
}
