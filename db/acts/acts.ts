/**
 * Statements on workflow_execution_acts: what was done to executions by hand.
 */
import type { Act, ActName } from '../../core/control/act.ts';
import type { Json } from '../../core/json/json.ts';
import type { Plan } from '../../core/plan.ts';
import type { ExecutionStatus } from '../../core/status.ts';
import { jsonArray, plainArray, textArray } from '../array-literal.ts';
import { momentOf } from '../clock.ts';
import type { Db } from '../connection/client.ts';
import type { Statement } from '../statement.ts';

/** An act with the transition that carried it out. */
export interface ActInsert extends Act {
  readonly executionId: string;
  /** Of the view that the act changed: the execution's, or that of a scope. */
  readonly sequence: number;
  readonly statusAfter: ExecutionStatus;
  /** Path of the scope; empty: the top level. */
  readonly scope: string;
}

/** Returns the rows of a plan's acts. */
export function actsOf({ acts, view }: Plan): ActInsert[] {
  const { id: executionId, sequence, status: statusAfter, scope } = view;
  return (acts ?? []).map((act) => ({
    ...act,
    executionId,
    sequence,
    statusAfter,
    scope: scope?.path ?? '',
  }));
}

const INSERT = `
  insert into workflow_execution_acts (id, execution_id, sequence, act, status_after, scope, step_id, by, detail, at)
  select coalesce(id, execution_engine_uuidv7()), execution_id, sequence, act, status_after, scope, step_id, by, detail,
         ${momentOf(9)}
    from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::text[], $8::jsonb[],
                $10::uuid[])
           as t(execution_id, sequence, act, status_after, scope, step_id, by, detail, id)`;

/** @param at see db/clock.ts */
export function insertActs(rows: readonly ActInsert[], at: string | null): Statement {
  return {
    name: 'insert_acts',
    text: INSERT,
    values: [
      plainArray(rows.map(({ executionId }) => executionId)),
      plainArray(rows.map(({ sequence }) => sequence)),
      plainArray(rows.map(({ act }) => act)),
      plainArray(rows.map(({ statusAfter }) => statusAfter)),
      textArray(rows.map(({ scope }) => scope)),
      plainArray(rows.map(({ stepId }) => stepId ?? null)),
      textArray(rows.map(({ by }) => by)),
      jsonArray(rows.map(({ detail }) => (detail === undefined ? null : JSON.stringify(detail)))),
      at,
      plainArray(rows.map(({ id }) => id ?? null)),
    ],
  };
}

export interface StoredAct {
  readonly sequence: number;
  readonly at: Date;
  readonly act: ActName;
  readonly statusAfter: ExecutionStatus;
  readonly scope: string;
  readonly stepId: string | null;
  readonly by: string | null;
  readonly detail: Json;
}

/** Returns the acts on an execution, in their order. Uses workflow_execution_acts_execution. */
export async function readActs(db: Db, executionId: string): Promise<StoredAct[]> {
  const { rows } = await db.query({
    name: 'read_acts',
    text: `select sequence, at, act, status_after, scope, step_id, by, detail
             from workflow_execution_acts where execution_id = $1 order by at, sequence`,
    values: [executionId],
  });
  return rows.map((row) => ({
    sequence: row.sequence,
    at: row.at,
    act: row.act,
    statusAfter: row.status_after,
    scope: row.scope,
    stepId: row.step_id,
    by: row.by,
    detail: row.detail,
  }));
}

/** Returns whether an act was carried out. */
export async function isActDone(db: Db, id: string): Promise<boolean> {
  const { rows } = await db.query({
    name: 'is_act_done',
    text: 'select from workflow_execution_acts where id = $1',
    values: [id],
  });
  return rows.length > 0;
}
