/**
 * Kept signals: used by a step that waits for one, or dropped when they do not fit its schema.
 */
import type { ScopeId } from '../../core/view.ts';
import { plainArray, textArray } from '../array-literal.ts';
import { momentOf } from '../clock.ts';
import type { Db } from '../connection/client.ts';
import { scopeOfStep } from '../scopes/scope.ts';
import { guarded, type Statement } from '../statement.ts';

/** A step that waits for a signal. */
export interface SignalWait {
  readonly executionId: string;
  readonly stepId: string;
  /** Path of its scope; empty: the top level. */
  readonly scope: string;
  readonly scopeId: ScopeId | null;
  readonly name: string;
  /** Of a webhook step: the methods of the request that it takes; null: it waits for a signal. */
  readonly methods: readonly string[] | null;
}

/** Kept signals that the same waits may use. */
export interface SignalGroup {
  readonly executionId: string;
  readonly name: string;
  /** Null: waits of any scope may use them. */
  readonly scope: string | null;
}

const WAITING = `
         select s.id, s.scope, s.holder_id, s.parked_at, s.waiting_for -> 'methods' as methods
           from workflow_step_executions s
          where s.workflow_execution_id = g.execution_id and s.waiting_for ->> 'kind' in ('signal', 'webhook')
            and s.waiting_for ->> 'name' = g.name and s.status = 'waiting'`;

/** From the signals to the steps: of thousands of steps that wait only those are read for which there is a signal. */
const WAITS = `
  with groups as materialized (
    select e.id as execution_id, k.name, k.scope
      from unnest($1::uuid[]) as e(id)
     cross join lateral (
       select distinct name, scope from workflow_signals
        where workflow_execution_id = e.id and used_at is null offset 0) k)
  select g.execution_id, g.name, g.scope as signal_scope, w.id, w.scope, w.holder_id, w.methods
    from groups g
   cross join lateral (
     select id, scope, holder_id, parked_at, methods from (${WAITING} and g.scope is null
         union all ${WAITING} and s.scope = g.scope) of_group
      order by parked_at, id limit $2::bigint) w
   order by w.parked_at, w.id`;

/**
 * Returns the steps of executions that wait for a kept signal or request, the oldest wait first, and the groups of these signals. Uses
 * workflow_signals_kept and workflow_step_executions_waits. @param most of each group
 */
export async function readSignalWaits(
  db: Db,
  executionIds: readonly string[],
  most: number,
): Promise<{ readonly waits: SignalWait[]; readonly groups: SignalGroup[] }> {
  const { rows } = await db.query({
    name: 'read_signal_waits',
    text: WAITS,
    values: [plainArray(executionIds), most],
  });
  const waits = new Map<string, SignalWait>();
  const groups = new Map<string, SignalGroup>();
  for (const row of rows) {
    const {
      execution_id: executionId,
      name,
      signal_scope: of,
      id,
      scope,
      holder_id: holderId,
      methods,
    } = row;
    waits.set(id, { executionId, stepId: id, scope, scopeId: scopeOfStep(holderId, scope), name, methods });
    groups.set(JSON.stringify([executionId, name, of]), { executionId, name, scope: of });
  }
  return { waits: [...waits.values()], groups: [...groups.values()] };
}

export interface KeptSignal {
  readonly id: string;
  readonly executionId: string;
  readonly name: string;
  readonly scope: string | null;
  /** JSON text; null: there is too much for one look. */
  readonly payload: string | null;
}

/** Limits by the stored size first, since that is known without decompression. */
const KEPT = `
  with kept as materialized (
    select k.*, sum(k.size) over (order by k.id) - k.size as before
      from unnest($1::uuid[], $2::text[], $3::text[]) as g(execution_id, name, scope)
     cross join lateral (
       select s.id, s.workflow_execution_id, s.name, s.scope, coalesce(pg_column_size(s.payload), 0) as size
         from workflow_signals s
        where s.workflow_execution_id = g.execution_id and s.name = g.name and s.used_at is null
          and s.scope is not distinct from g.scope
        order by s.id limit $4::bigint) k),
  texts as materialized (
    select k.id, k.workflow_execution_id, k.name, k.scope,
           case when k.before <= $5::bigint
                then (select p.payload::text from workflow_signals p where p.id = k.id) end as payload
      from kept k)
  select id, workflow_execution_id, name, scope,
         case when sum(octet_length(payload)) over (order by id) - octet_length(payload) <= $5::bigint
              then payload end as payload
    from texts order by id`;

/**
 * Returns the oldest kept signals of each group, in the order in which they came.
 * @param most of each group @param maxBytes of payloads; the first is always there
 */
export async function readKeptSignals(
  db: Db,
  groups: readonly SignalGroup[],
  most: number,
  maxBytes: number,
): Promise<KeptSignal[]> {
  const values = [
    plainArray(groups.map(({ executionId }) => executionId)),
    textArray(groups.map(({ name }) => name)),
    textArray(groups.map(({ scope }) => scope)),
    most,
    maxBytes,
  ];
  const { rows } = await db.query({ name: 'read_kept_signals', text: KEPT, values });
  return rows.map(({ id, workflow_execution_id: executionId, name, scope, payload }) => ({
    id: String(id),
    executionId,
    name,
    scope,
    payload,
  }));
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
