/**
 * Statements on workflow_tasks: one row per waiting task, with its claim.
 *
 * A claim and its end are transitions: they are written in commits of the step. A heartbeat changes the row of the task alone.
 */
import type { TaskClaim } from '../../core/event.ts';
import type { SharedLimit } from '../../core/limits/step-limit.ts';
import type { ScopeId } from '../../core/view.ts';
import { plainArray, textArray } from '../array-literal.ts';
import { momentOf } from '../clock.ts';
import type { Db } from '../connection/client.ts';
import { scopeOfStep } from '../scopes/scope.ts';
import { guarded, type Statement } from '../statement.ts';
import { GRANT_COUNTS } from '../step-limit.ts';

export interface NewTask {
  readonly stepId: string;
  readonly executionId: string;
  readonly queue: string;
  readonly leaseMs: number;
  /** The limit of its `concurrency`; null: it has none. */
  readonly limit: number | null;
}

/** A step with `concurrency` was granted a slot to begin: the grant says which limit it is. */
const INSERT = guarded(
  `insert into workflow_tasks (step_execution_id, workspace_id, queue, priority, created_at, lease_ms, limit_id, limit_key,
                               limit_count)
   select u.id, e.workspace_id, u.queue, e.priority, ${momentOf(6)}, u.lease_ms, l.id, l.key, u.limit_count
     from unnest($1::uuid[], $2::uuid[], $3::text[], $4::double precision[], $5::integer[])
            as u(id, execution_id, queue, lease_ms, limit_count)
     join workflow_executions e on e.id = u.execution_id
     left join workflow_step_grants g on u.limit_count is not null and g.step_execution_id = u.id
     left join workflow_step_limits l on l.id = g.limit_id
   on conflict (step_execution_id) do update
      set queue = excluded.queue, created_at = excluded.created_at, lease_ms = excluded.lease_ms, token = null,
          worker = null, lease_until = null, losses = 0, limit_id = excluded.limit_id, limit_key = excluded.limit_key,
          limit_count = excluded.limit_count`,
  7,
);

/** @param at see db/clock.ts */
export function insertTasks(rows: readonly NewTask[], at: string | null): Statement {
  return {
    name: 'insert_tasks',
    text: INSERT,
    values: [
      plainArray(rows.map(({ stepId }) => stepId)),
      plainArray(rows.map(({ executionId }) => executionId)),
      textArray(rows.map(({ queue }) => queue)),
      plainArray(rows.map(({ leaseMs }) => leaseMs)),
      plainArray(rows.map(({ limit }) => limit)),
      at,
      rows.length,
    ],
  };
}

/** A task that a commit claims or gives back. */
export interface ChangedTask {
  readonly stepId: string;
  readonly fromAttempt: number;
  readonly attempt: number;
  readonly sequence: number;
  readonly queue: string;
  readonly claim: TaskClaim | null;
  /** Null: as many as before. */
  readonly losses: number | null;
}

const CHANGE_STEPS = guarded(
  `update workflow_step_executions s
      set sequence = u.sequence, attempt_count = u.attempt, updated_at = ${momentOf(7)},
          attempt_started_at = case when u.attempt > u.from_attempt then ${momentOf(7)} else s.attempt_started_at end,
          waiting_for = jsonb_build_object('kind', 'task', 'queue', u.queue, 'claimed_by', u.worker)
     from unnest($1::uuid[], $2::integer[], $3::integer[], $4::bigint[], $5::text[], $6::text[])
            as u(id, from_attempt, attempt, sequence, queue, worker)
    where s.id = u.id and s.status = 'waiting' and s.attempt_count = u.from_attempt`,
  8,
);

const CHANGE = guarded(
  `update workflow_tasks t
      set token = u.token, worker = u.worker, losses = coalesce(u.losses, t.losses),
          lease_until = ${momentOf(6)} + u.lease_ms * interval '1 millisecond'
     from unnest($1::uuid[], $2::uuid[], $3::text[], $4::double precision[], $5::integer[])
            as u(id, token, worker, lease_ms, losses)
    where t.step_execution_id = u.id and (t.token is null) = (u.token is not null)`,
  7,
);

/** @param at see db/clock.ts */
export function changeTasks(rows: readonly ChangedTask[], at: string | null): Statement[] {
  const ids = plainArray(rows.map(({ stepId }) => stepId));
  const workers = textArray(rows.map(({ claim }) => claim?.worker ?? null));
  const steps = [
    ids,
    plainArray(rows.map(({ fromAttempt }) => fromAttempt)),
    plainArray(rows.map(({ attempt }) => attempt)),
    plainArray(rows.map(({ sequence }) => sequence)),
    textArray(rows.map(({ queue }) => queue)),
    workers,
    at,
    rows.length,
  ];
  const tasks = [
    ids,
    plainArray(rows.map(({ claim }) => claim?.token ?? null)),
    workers,
    plainArray(rows.map(({ claim }) => claim?.leaseMs ?? null)),
    plainArray(rows.map(({ losses }) => losses)),
    at,
    rows.length,
  ];
  return [
    { name: 'change_steps_of_tasks', text: CHANGE_STEPS, values: steps },
    { name: 'change_tasks', text: CHANGE, values: tasks },
  ];
}

/** Deletes the rows of tasks that do not wait any more. */
export function deleteTasks(stepIds: readonly string[]): Statement {
  const text = 'delete from workflow_tasks where step_execution_id = any($1::uuid[])';
  return { name: 'delete_tasks', text, values: [plainArray(stepIds)] };
}

/** A free task. */
export interface FreeTask {
  readonly stepId: string;
  readonly executionId: string;
  readonly templateId: string;
  readonly stepTemplateId: string;
  readonly scopeId: ScopeId | null;
  readonly attempt: number;
  /** How often the step was reset after it had completed. */
  readonly keyNumber: number;
  readonly sequence: number;
  readonly leaseMs: number;
  readonly workspaceId: string | null;
  /** The limit of which a worker's claim takes a slot; null: none. */
  readonly concurrency: SharedLimit | null;
  /** JSON text. */
  readonly input: string;
}

/** Tasks whose limit is used up do not stand in the way of others. */
const FREE = `
  with full_limits as materialized (
    select w.limit_id, w.limit_count
      from (select distinct limit_id, limit_count from workflow_tasks
             where queue = $1 and token is null and limit_id is not null) w
     where (select count(*) from workflow_step_grants g join workflow_step_executions s on s.id = g.step_execution_id
             where g.limit_id = w.limit_id and ${GRANT_COUNTS}) >= w.limit_count)
  select t.step_execution_id, t.lease_ms, s.workflow_execution_id, e.workflow_template_id, s.step_template_id, s.scope,
         s.holder_id, s.attempt_count, s.key_number, s.sequence, coalesce((s.parked_state -> 'input')::text, 'null') as input,
         t.workspace_id, t.limit_id, t.limit_key, t.limit_count
    from workflow_tasks t
    join workflow_step_executions s on s.id = t.step_execution_id
    join workflow_executions e on e.id = s.workflow_execution_id
   where t.queue = $1 and t.token is null and ($2::boolean or t.workspace_id is not distinct from $3::uuid)
     and s.status = 'waiting' and e.status in ('running', 'compensating')
     and not exists (select from full_limits f where f.limit_id = t.limit_id and f.limit_count = t.limit_count)
   order by t.priority desc, t.created_at, t.step_execution_id
   limit $4`;

/** Returns free tasks of a queue, those of higher priority and the oldest first. @param who sees which workspace */
export async function readFreeTasks(
  db: Db,
  queue: string,
  who: { readonly admin: boolean; readonly workspaceId: string | null },
  most: number,
): Promise<FreeTask[]> {
  const values = [queue, who.admin, who.workspaceId, most];
  const { rows } = await db.query({ name: 'read_free_tasks', text: FREE, values });
  return rows.map((row) => ({
    stepId: row.step_execution_id,
    executionId: row.workflow_execution_id,
    templateId: row.workflow_template_id,
    stepTemplateId: row.step_template_id,
    scopeId: scopeOfStep(row.holder_id, row.scope),
    attempt: row.attempt_count,
    keyNumber: row.key_number,
    sequence: row.sequence,
    leaseMs: row.lease_ms,
    workspaceId: row.workspace_id,
    concurrency:
      row.limit_id === null
        ? null
        : { id: row.limit_id, key: row.limit_key, limit: row.limit_count, perMs: null },
    input: row.input,
  }));
}

/** Returns the token of the claim that holds a task; null: there is no such task, or it is free. */
export async function readTaskToken(db: Db, stepId: string): Promise<string | null> {
  const text = 'select token from workflow_tasks where step_execution_id = $1';
  const { rows } = await db.query({ name: 'read_task_token', text, values: [stepId] });
  return rows[0]?.token ?? null;
}

const RENEW = `
  update workflow_tasks t
     set lease_until = clock_timestamp() + t.lease_ms * interval '1 millisecond'
    from workflow_step_executions s
   where t.step_execution_id = $1 and t.token = $2 and s.id = t.step_execution_id and s.status = 'waiting'
  returning t.lease_ms`;

/** Renews the lease of a claim. Returns its length in milliseconds; null: the claim does not hold the task. */
export async function renewLease(db: Db, stepId: string, token: string): Promise<number | null> {
  const { rows } = await db.query({ name: 'renew_lease', text: RENEW, values: [stepId, token] });
  return rows[0]?.lease_ms ?? null;
}

/** A claim whose timer is due. */
export interface Lease {
  readonly token: string | null;
  readonly queue: string;
  readonly losses: number;
  /** Milliseconds until it runs out; negative: it has. */
  readonly leftMs: number;
}

const LEASES = `
  select step_execution_id, token, queue, losses,
         (extract(epoch from lease_until - clock_timestamp()) * 1000)::double precision as left_ms
    from workflow_tasks
   where step_execution_id = any($1::uuid[])
   order by step_execution_id
     for update`;

/** Locks the claims of tasks, so that no heartbeat renews them meanwhile; by step. */
export async function lockLeases(tx: Db, stepIds: readonly string[]): Promise<Map<string, Lease>> {
  const { rows } = await tx.query({ name: 'lock_leases', text: LEASES, values: [plainArray(stepIds)] });
  return new Map(
    rows.map((row) => [
      row.step_execution_id,
      { token: row.token, queue: row.queue, losses: row.losses, leftMs: row.left_ms },
    ]),
  );
}

const QUEUES = `
  select q.name from unnest($1::text[]) as q(name)
   where exists (select from workflow_tasks t where t.queue = q.name and t.token is null)`;

/** Returns those of the queues that have a free task. */
export async function queuesWithTasks(db: Db, queues: readonly string[]): Promise<Set<string>> {
  const { rows } = await db.query({ name: 'queues_with_tasks', text: QUEUES, values: [textArray(queues)] });
  return new Set(rows.map(({ name }) => name));
}
