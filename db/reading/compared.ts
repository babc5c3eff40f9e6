/**
 * Reads two executions to compare them. Payloads are compared by the database, some at a time, and of those that differ only the
 * beginning is sent.
 */
import type { StepStatus } from '../../core/status.ts';
import { plainArray } from '../array-literal.ts';
import type { Db } from '../connection/client.ts';

export interface ComparedStep {
  readonly id: string;
  readonly stepTemplateId: string;
  readonly status: StepStatus;
  readonly attempt: number;
  readonly routes: readonly string[] | null;
  readonly errorCode: string | null;
  readonly error: string | null;
  readonly startedAt: Date | null;
  readonly completedAt: Date | null;
  /** Stored size of its payloads. */
  readonly bytes: number;
}

/** Uses workflow_step_executions_scope_step. @param scope path of a scope; '' is the top level */
export async function readComparedSteps(db: Db, executionId: string, scope: string): Promise<ComparedStep[]> {
  const { rows } = await db.query({
    name: 'read_compared_steps',
    text: `select id, step_template_id, status, attempt_count, routes, error_code, error, started_at, completed_at,
                  coalesce(pg_column_size(outputs), 0) + coalesce(pg_column_size(error_details), 0) as bytes
             from workflow_step_executions where workflow_execution_id = $1 and scope = $2`,
    values: [executionId, scope],
  });
  return rows.map((row) => ({
    id: row.id,
    stepTemplateId: row.step_template_id,
    status: row.status,
    attempt: row.attempt_count,
    routes: row.routes,
    errorCode: row.error_code,
    error: row.error,
    startedAt: row.started_at,
    completedAt: row.completed_at,
    bytes: row.bytes,
  }));
}

/** Two values of which at least one is there. */
export interface PayloadDifference {
  /** The beginning of each as JSON text; null: there is none. */
  readonly a: string | null;
  readonly b: string | null;
}

export interface ComparedPayloads {
  /** Null: they are equal. */
  readonly output: PayloadDifference | null;
  readonly sameDetails: boolean;
}

/** Characters of a payload that are read to be shown. */
export const MAX_SHOWN = 200;

const COMPARE = `
  select a.outputs is distinct from b.outputs as differs,
         a.error_details is not distinct from b.error_details as same_details,
         case when a.outputs is distinct from b.outputs then left(a.outputs::text, ${MAX_SHOWN + 1}) end as a_output,
         case when a.outputs is distinct from b.outputs then left(b.outputs::text, ${MAX_SHOWN + 1}) end as b_output
    from unnest($1::uuid[], $2::uuid[]) with ordinality as u(a, b, n)
    join workflow_step_executions a on a.id = u.a
    join workflow_step_executions b on b.id = u.b
   order by u.n`;

/** Compares the payloads of pairs of steps. Uses the primary key. */
export async function comparePayloads(
  db: Db,
  pairs: readonly { readonly a: string; readonly b: string }[],
): Promise<ComparedPayloads[]> {
  const values = [plainArray(pairs.map(({ a }) => a)), plainArray(pairs.map(({ b }) => b))];
  const { rows } = await db.query({ name: 'compare_payloads', text: COMPARE, values });
  return rows.map((row) => ({
    output: row.differs ? { a: row.a_output, b: row.b_output } : null,
    sameDetails: row.same_details,
  }));
}

const WHOLE = (column: string) => `
  case when a.${column} is distinct from b.${column} then left(a.${column}::text, ${MAX_SHOWN + 1}) end as a_${column},
  case when a.${column} is distinct from b.${column} then left(b.${column}::text, ${MAX_SHOWN + 1}) end as b_${column},
  a.${column} is distinct from b.${column} as ${column}_differ`;

/** Compares the inputs and outputs of two executions; null: they are equal. */
export async function compareExecutions(
  db: Db,
  a: string,
  b: string,
): Promise<{ inputs: PayloadDifference | null; outputs: PayloadDifference | null }> {
  const { rows } = await db.query({
    name: 'compare_executions',
    text: `select ${WHOLE('inputs')}, ${WHOLE('outputs')}
             from workflow_executions a cross join workflow_executions b where a.id = $1 and b.id = $2`,
    values: [a, b],
  });
  const [row] = rows;
  return {
    inputs: row?.inputs_differ ? { a: row.a_inputs, b: row.b_inputs } : null,
    outputs: row?.outputs_differ ? { a: row.a_outputs, b: row.b_outputs } : null,
  };
}
