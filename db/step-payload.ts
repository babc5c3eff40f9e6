/**
 * Reads received inputs and outputs of steps that are missing in this process's memory.
 */
import type { Claim } from '../core/event.ts';
import { plainArray } from './array-literal.ts';
import type { Db } from './connection/client.ts';

export interface StepPayload {
  readonly id: string;
  /** JSON text; null when there is none. */
  readonly output: string | null;
  readonly errorCode: string | null;
  readonly error: string | null;
  readonly errorDetails: unknown;
}

const PAYLOADS = `
  select id, outputs::text as output, error_code, error, error_details
    from workflow_step_executions
   where id = any($1::uuid[])`;

export async function readPayloads(db: Db, ids: readonly string[]): Promise<StepPayload[]> {
  const { rows } = await db.query({ name: 'read_step_payloads', text: PAYLOADS, values: [plainArray(ids)] });
  return rows.map((row) => ({
    id: row.id,
    output: row.output,
    errorCode: row.error_code,
    error: row.error,
    errorDetails: row.error_details,
  }));
}

const PAYLOAD_BYTES = `
  with stored as (
    select coalesce(sum(coalesce(pg_column_size(outputs), 0) + coalesce(pg_column_size(error_details), 0)), 0) as bytes
      from workflow_step_executions
     where id = any($1::uuid[])
  )
  select case when bytes > $2::bigint then bytes
              else (select coalesce(sum(coalesce(octet_length(outputs::text), 0)
                                        + coalesce(octet_length(error_details::text), 0)), 0)
                      from workflow_step_executions
                     where id = any($1::uuid[])) end as bytes
    from stored`;

/**
 * Returns the size of the outputs and error details that `readPayloads` would read, in bytes of JSON.
 * @param most bound beyond which the stored, compressed size is returned instead
 */
export async function sumPayloadBytes(db: Db, ids: readonly string[], most: number): Promise<number> {
  const { rows } = await db.query({
    name: 'sum_step_payload_bytes',
    text: PAYLOAD_BYTES,
    values: [plainArray(ids), most],
  });
  return Number(rows[0].bytes);
}

export interface StepResumption {
  readonly received: readonly { key: string; live: boolean; route: string | null }[];
  readonly parkedState: unknown;
  /** Milliseconds by the database's clock; null when the step is not parked. */
  readonly parkedMs: number | null;
  /** Milliseconds left of the attempt's timeout; null: it has no deadline yet. */
  readonly timeoutMs: number | null;
}

const RESUMPTION = `
  select received_inputs, parked_state, extract(epoch from clock_timestamp() - parked_at) * 1000 as parked_ms,
         extract(epoch from deadline_at - clock_timestamp()) * 1000 as timeout_ms
    from workflow_step_executions
   where id = $1
     and ($2::integer is null
          or (status = 'running' and attempt_count = $2 and claimed_by = $3
              and sequence = coalesce($4::bigint, sequence)))`;

/**
 * Returns the data of an attempt whose join was not decided in this process.
 * @param claim must still hold the step; null: any claim
 * @returns null when the claim is lost: the row belongs to another attempt
 */
export async function readResumption(
  db: Db,
  id: string,
  claim: Claim | null,
): Promise<StepResumption | null> {
  const values = [id, claim?.attempt ?? null, claim?.owner ?? null, claim?.sequence ?? null];
  const { rows } = await db.query({ name: 'read_step_resumption', text: RESUMPTION, values });
  const [row] = rows;
  if (row === undefined) return null;
  return {
    received: row.received_inputs ?? [],
    parkedState: row.parked_state ?? null,
    parkedMs: row.parked_ms === null ? null : Math.round(Number(row.parked_ms)),
    timeoutMs: row.timeout_ms === null ? null : Number(row.timeout_ms),
  };
}
