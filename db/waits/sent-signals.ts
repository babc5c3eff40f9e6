/**
 * Signals on their way in: the executions that they are for, and the rows in which they are kept.
 */
import { EngineError, ERROR_STATUS, type ErrorCode } from '../../core/problem.ts';
import type { ExecutionStatus } from '../../core/status.ts';
import { jsonArray, plainArray, textArray } from '../array-literal.ts';
import type { Db } from '../connection/client.ts';
import { runAgain } from '../connection/run-again.ts';

export interface Signal {
  readonly executionId: string;
  readonly name: string;
  /** JSON text. */
  readonly payload: string;
  /** Counts once in its execution; null: every call is a signal of its own. */
  readonly signalId: string | null;
  /** Only waits of this scope may use it; null: of any. */
  readonly scope: string | null;
}

/**
 * Sends a signal in a transaction of its own, as a main server does in its own (db/functions/workflow_signal.sql).
 * Returns false when the execution has its id already. @throws EngineError
 */
export async function sendSignal(db: Db, signal: Signal): Promise<boolean> {
  const { executionId, name, payload, signalId, scope } = signal;
  const values = [executionId, name, payload, signalId, scope];
  const text = 'select workflow_signal($1, $2, $3::jsonb, $4, $5) as is_new';
  try {
    const { rows } = await runAgain(() => db.query({ name: 'send_signal', text, values }));
    return rows[0].is_new;
  } catch (error) {
    throw refusalOf(error) ?? error;
  }
}

/** Signals without an id wait for another transaction's lock for this long, since others wait with them. */
const LOCK_TIMEOUT = '200ms';
const LOCK_NOT_AVAILABLE = '55P03';

const SEND_TOGETHER = `
  with patience as materialized (select set_config('lock_timeout', '${LOCK_TIMEOUT}', true))
  select workflow_signal(u.execution_id, u.name, u.payload::jsonb, null, u.scope)
    from patience, unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) as u(execution_id, name, payload, scope)`;

/** Signals of several executions, whose ids all are null. */
export type SignalsWithoutId = readonly (Signal & { readonly signalId: null })[];

/**
 * Sends signals in one transaction.
 * Returns false when none of them was sent, since one is refused or its execution is locked: each is to be sent alone.
 */
export async function sendTogether(db: Db, signals: SignalsWithoutId): Promise<boolean> {
  const values = [
    plainArray(signals.map(({ executionId }) => executionId)),
    textArray(signals.map(({ name }) => name)),
    jsonArray(signals.map(({ payload }) => payload)),
    textArray(signals.map(({ scope }) => scope)),
  ];
  try {
    await runAgain(() => db.query({ name: 'send_signals', text: SEND_TOGETHER, values }));
    return true;
  } catch (error) {
    if (refusalOf(error) !== null || (error as { code?: unknown }).code === LOCK_NOT_AVAILABLE) return false;
    throw error;
  }
}

/** Returns the refusal of the function; null: any other error. */
function refusalOf(error: unknown): EngineError | null {
  const { detail, message } = error as { detail?: unknown; message: string };
  if (typeof detail !== 'string' || !Object.hasOwn(ERROR_STATUS, detail)) return null;
  return new EngineError(detail as ErrorCode, message.replace(/^workflow_signal: /, ''), [], error);
}

/** An execution as a signal finds it. */
export interface Reception {
  readonly status: ExecutionStatus;
  readonly templateId: string;
  readonly workspaceId: string | null;
  /** Whether the execution has the signal's id already. */
  readonly isKnown: boolean;
  /**
   * The step template of the step that would take the signal: those that are kept come first, and the oldest wait. Null: the
   * signal would be kept.
   */
  readonly taker: string | null;
}

const RECEPTIONS = `
  select u.place, e.status, e.workflow_template_id, e.workspace_id,
         exists (select from workflow_signals k where k.workflow_execution_id = e.id and k.signal_id = u.signal_id) as is_known,
         (select s.step_template_id from workflow_step_executions s
           where s.workflow_execution_id = e.id and s.status = 'waiting' and s.waiting_for ->> 'kind' = 'signal'
             and s.waiting_for ->> 'name' = u.name and (u.scope is null or s.scope = u.scope)
           order by s.parked_at, s.id limit 1
          offset (select count(*) from workflow_signals k
                   where k.workflow_execution_id = e.id and k.name = u.name and k.used_at is null)) as taker
    from unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) with ordinality as u(execution_id, name, signal_id, scope, place)
    join workflow_executions e on e.id = u.execution_id and e.removed_at is null`;

/** Returns the execution of each signal, in their order; null: there is none. */
export async function readReceptions(
  db: Db,
  signals: readonly Omit<Signal, 'payload'>[],
): Promise<(Reception | null)[]> {
  const values = [
    plainArray(signals.map(({ executionId }) => executionId)),
    textArray(signals.map(({ name }) => name)),
    textArray(signals.map(({ signalId }) => signalId)),
    textArray(signals.map(({ scope }) => scope)),
  ];
  const { rows } = await db.query({ name: 'read_receptions', text: RECEPTIONS, values });
  const found: (Reception | null)[] = signals.map(() => null);
  for (const row of rows)
    found[Number(row.place) - 1] = {
      status: row.status,
      templateId: row.workflow_template_id,
      workspaceId: row.workspace_id,
      isKnown: row.is_known,
      taker: row.taker,
    };
  return found;
}
