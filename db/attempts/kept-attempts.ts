/**
 * Reads what is kept of a step's attempts beside its row: results that came too late, and turns.
 */
import type { Db } from '../connection/client.ts';

/** A result that came after its step had lost a race. */
export interface LateAttempt {
  readonly attempt: number;
  readonly engine: string | null;
  readonly endedAt: Date;
  /** JSON text; null: it failed. */
  readonly outputs: string | null;
  readonly errorCode: string | null;
  readonly error: string | null;
  /** JSON text. */
  readonly errorDetails: string | null;
}

/** Returns the late results of a step. Uses workflow_step_attempts_pkey. */
export async function readLateAttempts(db: Db, stepId: string): Promise<LateAttempt[]> {
  const { rows } = await db.query({
    name: 'read_late_attempts',
    text: `select attempt, engine_id, ended_at, outputs::text as outputs, error_code, error,
                  error_details::text as error_details
             from workflow_step_attempts where step_execution_id = $1 and outcome = 'late' order by attempt`,
    values: [stepId],
  });
  return rows.map((row) => ({
    attempt: row.attempt,
    engine: row.engine_id,
    endedAt: row.ended_at,
    outputs: row.outputs,
    errorCode: row.error_code,
    error: row.error,
    errorDetails: row.error_details,
  }));
}

export interface KeptTurn {
  readonly attempt: number;
  readonly createdAt: Date;
  /** JSON text. */
  readonly record: string;
  /** Tokens, as far as the model's server has counted them. */
  readonly prompt: number | null;
  readonly completion: number | null;
  readonly total: number | null;
}

const count = (name: string) =>
  `case when jsonb_typeof(record -> 'usage' -> '${name}') = 'number'
        then (record -> 'usage' ->> '${name}')::double precision end`;

const TURNS = `
  select attempt, created_at, record::text as record, ${count('prompt_tokens')} as prompt,
         ${count('completion_tokens')} as completion, ${count('total_tokens')} as total
    from workflow_step_turns where step_execution_id = $1 order by attempt, turn`;

/** Returns the turns of a step's attempts, in their order. Uses workflow_step_turns_pkey. */
export async function readTurns(db: Db, stepId: string): Promise<KeptTurn[]> {
  const { rows } = await db.query({ name: 'read_turns', text: TURNS, values: [stepId] });
  return rows.map((row) => ({
    attempt: row.attempt,
    createdAt: row.created_at,
    record: row.record,
    prompt: row.prompt,
    completion: row.completion,
    total: row.total,
  }));
}
