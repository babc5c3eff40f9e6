/**
 * Reads what is kept of a step's attempts beside its row: those that it does not tell, turns, and log lines.
 */
import type { EndedOutcome } from '../../core/plan.ts';
import type { Db } from '../connection/client.ts';

/** An attempt that the row of its step does not tell. */
export interface KeptAttempt {
  readonly attempt: number;
  readonly outcome: KeptOutcome;
  readonly engine: string | null;
  readonly startedAt: Date | null;
  readonly endedAt: Date;
  /** JSON text: of a late result, and of a completed step that was reset. */
  readonly outputs: string | null;
  readonly errorCode: string | null;
  readonly error: string | null;
  /** JSON text. */
  readonly errorDetails: string | null;
}

export type KeptOutcome = EndedOutcome | 'late' | 'completed' | 'cancelled';

/** Returns the kept attempts of a step. Uses workflow_step_attempts_pkey. */
export async function readAttempts(db: Db, stepId: string): Promise<KeptAttempt[]> {
  const { rows } = await db.query({
    name: 'read_attempts',
    text: `select attempt, outcome, engine_id, started_at, ended_at, outputs::text as outputs, error_code, error,
                  error_details::text as error_details
             from workflow_step_attempts where step_execution_id = $1 order by attempt`,
    values: [stepId],
  });
  return rows.map((row) => ({
    attempt: row.attempt,
    outcome: row.outcome,
    engine: row.engine_id,
    startedAt: row.started_at,
    endedAt: row.ended_at,
    outputs: row.outputs,
    errorCode: row.error_code,
    error: row.error,
    errorDetails: row.error_details,
  }));
}

/** The log lines of an attempt. */
export interface KeptLines {
  readonly attempt: number;
  /** JSON text of a list. */
  readonly lines: string;
}

/** Returns the log lines of a step's attempts, in their order. Uses workflow_step_logs_pkey. */
export async function readLogs(db: Db, stepId: string): Promise<KeptLines[]> {
  const { rows } = await db.query({
    name: 'read_step_logs',
    text: `select attempt, lines::text as lines from workflow_step_logs
            where step_execution_id = $1 order by attempt, sequence`,
    values: [stepId],
  });
  return rows;
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
