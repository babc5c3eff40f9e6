/**
 * Signals: sent, kept, used by a step that waits for one, or dropped when they do not fit its schema.
 */
import { EngineError, ERROR_STATUS, type ErrorCode } from '../../core/problem.ts';
import type { ExecutionStatus } from '../../core/status.ts';
import type { ScopeId } from '../../core/view.ts';
import { plainArray, textArray } from '../array-literal.ts';
import { momentOf } from '../clock.ts';
import type { Db } from '../connection/client.ts';
import { runAgain } from '../connection/run-again.ts';
import { scopeOfStep } from '../scopes/scope.ts';
import { guarded, type Statement } from '../statement.ts';

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
export async function sendSignal(
  db: Db,
  { executionId, name, payload, signalId, scope }: Signal,
): Promise<boolean> {
  const values = [executionId, name, payload, signalId, scope];
  const text = 'select workflow_signal($1, $2, $3::jsonb, $4, $5) as is_new';
  try {
    const { rows } = await runAgain(() => db.query({ name: 'send_signal', text, values }));
    return rows[0].is_new;
  } catch (error) {
    throw refusalOf(error) ?? error;
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
  /** Step templates of the steps that wait for the signal, the oldest wait first. */
  readonly waits: readonly string[];
  /** Signals of this name that are kept. */
  readonly kept: number;
}

const RECEPTION = `
  select e.status, e.workflow_template_id, e.workspace_id,
         exists (select from workflow_signals k where k.workflow_execution_id = e.id and k.signal_id = $3) as is_known,
         array(select s.step_template_id from workflow_step_executions s
                where s.workflow_execution_id = e.id and s.status = 'waiting' and s.waiting_for ->> 'kind' = 'signal'
                  and s.waiting_for ->> 'name' = $2 and ($4::text is null or s.scope = $4)
                order by s.parked_at, s.id) as waits,
         (select count(*) from workflow_signals k
           where k.workflow_execution_id = e.id and k.name = $2 and k.used_at is null) as kept
    from workflow_executions e
   where e.id = $1 and e.removed_at is null`;

export async function readReception(
  db: Db,
  { executionId, name, signalId, scope }: Omit<Signal, 'payload'>,
): Promise<Reception | null> {
  const values = [executionId, name, signalId, scope];
  const { rows } = await db.query({ name: 'read_reception', text: RECEPTION, values });
  const [row] = rows;
  if (row === undefined) return null;
  return {
    status: row.status,
    templateId: row.workflow_template_id,
    workspaceId: row.workspace_id,
    isKnown: row.is_known,
    waits: row.waits,
    kept: Number(row.kept),
  };
}

/** A step that waits for a signal. */
export interface SignalWait {
  readonly stepId: string;
  /** Path of its scope; empty: the top level. */
  readonly scope: string;
  readonly scopeId: ScopeId | null;
  readonly name: string;
}

const WAITS = `
  select id, scope, holder_id, waiting_for ->> 'name' as name
    from workflow_step_executions
   where workflow_execution_id = $1 and status = 'waiting' and waiting_for ->> 'kind' = 'signal'
   order by parked_at, id`;

/** Returns the steps of an execution that wait for signals, the oldest wait first. */
export async function readSignalWaits(db: Db, executionId: string): Promise<SignalWait[]> {
  const { rows } = await db.query({ name: 'read_signal_waits', text: WAITS, values: [executionId] });
  return rows.map(({ id, scope, holder_id: holderId, name }) => ({
    stepId: id,
    scope,
    scopeId: scopeOfStep(holderId, scope),
    name,
  }));
}

export interface KeptSignal {
  readonly id: string;
  readonly name: string;
  readonly scope: string | null;
  /** JSON text. */
  readonly payload: string;
}

const KEPT = `
  select k.id, k.name, k.scope, k.payload
    from unnest($2::text[]) as w(name)
   cross join lateral (
     select s.id, s.name, s.scope, s.payload::text as payload
       from workflow_signals s
      where s.workflow_execution_id = $1 and s.name = w.name and s.used_at is null
      order by s.id limit $3::bigint) k
   order by k.id`;

/** Returns the oldest kept signals of each name, in the order in which they came. @param most of each name */
export async function readKeptSignals(
  db: Db,
  executionId: string,
  names: readonly string[],
  most: number,
): Promise<KeptSignal[]> {
  const values = [executionId, textArray(names), most];
  const { rows } = await db.query({ name: 'read_kept_signals', text: KEPT, values });
  return rows.map(({ id, name, scope, payload }) => ({ id: String(id), name, scope, payload }));
}

export interface RefusedSignal {
  readonly id: string;
  readonly reason: string;
}

/** Compared so that the signal is found by its id: by the index of kept ones all of them would be read. */
const DROP = guarded(
  `update workflow_signals k
      set used_at = clock_timestamp(), payload = null, refusal = u.reason
     from unnest($1::bigint[], $2::text[]) as u(id, reason)
    where k.id = u.id and coalesce(k.used_at, 'infinity') = 'infinity'`,
  3,
);

/** Drops signals that do not fit the schema of the wait whose turn it was. */
export function dropSignals(rows: readonly RefusedSignal[]): Statement {
  const ids = plainArray(rows.map(({ id }) => id));
  return {
    name: 'drop_signals',
    text: DROP,
    values: [ids, textArray(rows.map(({ reason }) => reason)), rows.length],
  };
}

export interface UsedSignal {
  readonly id: string;
  readonly stepId: string;
}

const USE = guarded(
  `update workflow_signals k
      set used_at = ${momentOf(3)}, payload = null, step_execution_id = u.step_id
     from unnest($1::bigint[], $2::uuid[]) as u(id, step_id)
    where k.id = u.id and coalesce(k.used_at, 'infinity') = 'infinity'`,
  4,
);

/** Uses signals up, in the commit of their answers. @param at see db/clock.ts */
export function useSignals(rows: readonly UsedSignal[], at: string | null): Statement {
  const values = [
    plainArray(rows.map(({ id }) => id)),
    plainArray(rows.map(({ stepId }) => stepId)),
    at,
    rows.length,
  ];
  return { name: 'use_signals', text: USE, values };
}
