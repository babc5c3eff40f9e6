/**
 * Statements on workflow_step_limits and workflow_step_grants.
 *
 * Requesting starts is one transaction of these, in this order: lock the limits, drop stale grants, read,
 * decide (core/limits/step-limit.ts), write. Each is a statement of its own because each must see earlier commits.
 * Those that read steps are planned each time: a plan made while there were few steps would later scan them all.
 *
 * Invariant 1: slots of a limit are granted only under the lock of the limit's row.
 * Invariant 2: a grant counts only with a step that is queued (not claimed, and for GRANT_SECONDS) or running
 * (claimed); so the end of the step, or of its engine, frees the slot. A task that waits counts like a queued step while it
 * is free, and like a running one while a worker has it.
 * Invariant 3: a claim of a step with limits claims its grant in the same transaction, or fails with it.
 */
import { countingSlices, freedInMs, type Slice, sliceEnd } from '../core/limits/rate-window.ts';
import type { LimitUse } from '../core/limits/step-limit.ts';
import { plainArray, textArray } from './array-literal.ts';
import type { Db } from './connection/client.ts';
import { guarded, type Statement } from './statement.ts';
import { newId } from './uuid.ts';

/** Time within which a granted step must be claimed: the asking engine has a slot for it already. */
const GRANT_SECONDS = 3;

/** Condition: the step `s` is a waiting task whose token is null, or is not. A subquery for one row is never hashed. */
const isTask = (token: 'null' | 'not null') =>
  `s.status = 'waiting' and (select w.token is ${token} from workflow_tasks w where w.step_execution_id = s.id)`;
const IS_FREE_TASK = isTask('null');
const IS_CLAIMED_TASK = isTask('not null');

/**
 * Whether the grant `g` of the step `s` counts. `now()` is the transaction's: a grant kept when stale ones were dropped
 * still counts when it is read.
 */
export const GRANT_COUNTS = `
  (case when g.claimed then s.status = 'running' or (${IS_CLAIMED_TASK})
        else (s.status = 'queued' or (${IS_FREE_TASK})) and g.granted_at > now() - interval '${GRANT_SECONDS} seconds'
             and (g.ends_at is null or g.ends_at > now()) end)`;

export interface LimitRow {
  readonly id: string;
  readonly kind: 'concurrency' | 'rate';
  readonly workspaceId: string | null;
  /** Masked and short. */
  readonly key: string;
}

const LOCK = `
  insert into workflow_step_limits (id, kind, workspace_id, key)
  select id, kind, workspace_id, key
    from unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[]) as t(id, kind, workspace_id, key)
   order by id
  on conflict (id) do update set asked_at = now()`;

/** Inserts missing limits, and locks them all in id order until the transaction ends. */
export async function lockLimits(tx: Db, limits: readonly LimitRow[]): Promise<void> {
  await tx.query({
    name: 'lock_step_limits',
    text: LOCK,
    values: [
      plainArray(limits.map(({ id }) => id)),
      plainArray(limits.map(({ kind }) => kind)),
      plainArray(limits.map(({ workspaceId }) => workspaceId)),
      textArray(limits.map(({ key }) => key)),
    ],
  });
}

/**
 * Compares the grant with the one that was read: a grant that is claimed meanwhile stays, and the next statement
 * counts it.
 */
const DROP = (where: string) => `
  with stale as materialized (
    select g.step_execution_id, g.id, g.claimed
      from workflow_step_grants g left join workflow_step_executions s on s.id = g.step_execution_id
     where ${where} ${GRANT_COUNTS} is not true)
  delete from workflow_step_grants g
   using stale
   where g.step_execution_id = stale.step_execution_id and g.id = stale.id and g.claimed = stale.claimed`;

const DROP_OF_LIMITS = DROP('g.limit_id = any($1::uuid[]) and');

/** Deletes grants of the limits that no longer count. Uses workflow_step_grants_limit. */
export async function dropStaleGrants(tx: Db, limitIds: readonly string[]): Promise<void> {
  await tx.query(DROP_OF_LIMITS, [plainArray(limitIds)]);
}

const USES = `
  with clock as materialized (select extract(epoch from clock_timestamp())::double precision * 1000 as ms)
  select t.id, t.per_ms, clock.ms, l.starts,
         case when t.per_ms is null then
           (select count(*) from workflow_step_grants g join workflow_step_executions s on s.id = g.step_execution_id
             where g.limit_id = t.id and ${GRANT_COUNTS}) else 0 end as running
    from unnest($1::uuid[], $2::double precision[]) as t(id, per_ms)
    join workflow_step_limits l on l.id = t.id
    cross join clock`;

export interface MeasuredUse extends LimitUse {
  /** Of a rate: its starts that count, and when those that are granted now must have begun. Null: concurrency. */
  readonly window: {
    readonly slices: readonly Slice[];
    readonly endsMs: number;
    readonly leftMs: number;
  } | null;
}

/** Returns the use of each limit, by id. Its row must be locked. */
export async function readLimitUses(
  tx: Db,
  limits: readonly { id: string; perMs: number | null }[],
): Promise<Map<string, MeasuredUse>> {
  const { rows } = await tx.query(USES, [
    plainArray(limits.map(({ id }) => id)),
    plainArray(limits.map(({ perMs }) => perMs)),
  ]);
  return new Map(
    rows.map(({ id, running, per_ms: perMs, ms, starts }) => [
      id,
      perMs === null
        ? { running: Number(running), started: 0, freedInMs: null, window: null }
        : rateUse(starts, ms, perMs),
    ]),
  );
}

function rateUse(starts: readonly [number, number][], nowMs: number, perMs: number): MeasuredUse {
  const all = starts.map(([endsMs, count]) => ({ endsMs, count }));
  const slices = countingSlices(all, nowMs, perMs);
  const endsMs = sliceEnd(nowMs, perMs);
  return {
    running: 0,
    started: slices.reduce((sum, { count }) => sum + count, 0),
    freedInMs: freedInMs(slices, nowMs, perMs),
    window: { slices, endsMs, leftMs: endsMs - nowMs },
  };
}

export interface AskingStep {
  readonly id: string;
  /** Whether it may still be claimed: it is queued, or a free task. */
  readonly claimable: boolean;
  /** The step's valid grant, not claimed yet; null: none. */
  readonly grant: {
    readonly owner: string;
    readonly limitId: string | null;
    readonly leftMs: number | null;
  } | null;
}

const ASKING = `
  select t.id, coalesce(s.status = 'queued' or (${IS_FREE_TASK}), false) as claimable, g.owner, g.limit_id,
         extract(epoch from g.ends_at - clock_timestamp())::double precision * 1000 as left_ms
    from unnest($1::uuid[]) as t(id)
    left join workflow_step_executions s on s.id = t.id
    left join workflow_step_grants g on g.step_execution_id = t.id and not g.claimed and ${GRANT_COUNTS}`;

export async function readAskingSteps(tx: Db, ids: readonly string[]): Promise<Map<string, AskingStep>> {
  const { rows } = await tx.query(ASKING, [plainArray(ids)]);
  return new Map(
    rows.map(({ id, claimable, owner, limit_id: limitId, left_ms: leftMs }) => [
      id,
      { id, claimable, grant: owner === null ? null : { owner, limitId, leftMs } },
    ]),
  );
}

export interface GrantInsert {
  readonly stepId: string;
  /** The concurrency limit; null: none. */
  readonly limitId: string | null;
  /** Until when the step must have started for its rate, in milliseconds of the database's epoch; null: no rate. */
  readonly endsMs: number | null;
}

const GRANT = `
  insert into workflow_step_grants (step_execution_id, id, limit_id, owner, ends_at, granted_at)
  select step_id, id, limit_id, $5::uuid, to_timestamp(ends_ms / 1000), clock_timestamp()
    from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::double precision[]) as t(step_id, id, limit_id, ends_ms)
   order by step_id
  on conflict (step_execution_id) do update
    set id = excluded.id, limit_id = excluded.limit_id, owner = excluded.owner, ends_at = excluded.ends_at,
        granted_at = excluded.granted_at, claimed = false`;

export async function insertGrants(tx: Db, owner: string, grants: readonly GrantInsert[]): Promise<void> {
  await tx.query({
    name: 'insert_grants',
    text: GRANT,
    values: [
      plainArray(grants.map(({ stepId }) => stepId)),
      plainArray(grants.map(() => newId())),
      plainArray(grants.map(({ limitId }) => limitId)),
      plainArray(grants.map(({ endsMs }) => endsMs)),
      owner,
    ],
  });
}

const WRITE_STARTS = `
  update workflow_step_limits l
     set starts = t.starts::jsonb, window_count = t.count, window_ends_at = to_timestamp(t.until_ms / 1000)
    from unnest($1::uuid[], $2::text[], $3::integer[], $4::double precision[]) as t(id, starts, count, until_ms)
   where l.id = t.id`;

export interface CountedStarts {
  readonly id: string;
  readonly perMs: number;
  readonly slices: readonly Slice[];
}

/** Writes the starts that count. The limits' rows must be locked. */
export async function writeStarts(tx: Db, limits: readonly CountedStarts[]): Promise<void> {
  await tx.query({
    name: 'write_starts',
    text: WRITE_STARTS,
    values: [
      plainArray(limits.map(({ id }) => id)),
      textArray(
        limits.map(({ slices }) => JSON.stringify(slices.map(({ endsMs, count }) => [endsMs, count]))),
      ),
      plainArray(limits.map(({ slices }) => slices.reduce((sum, { count }) => sum + count, 0))),
      plainArray(limits.map(({ slices, perMs }) => Math.max(...slices.map(({ endsMs }) => endsMs)) + perMs)),
    ],
  });
}

const CLAIM = guarded(
  `update workflow_step_grants
      set claimed = true
    where step_execution_id = any($1::uuid[]) and not claimed and (ends_at is null or ends_at > now())`,
  2,
);

/** Claims the grants of steps that are claimed; fails the transaction when one is gone. */
export function claimGrants(stepIds: readonly string[]): Statement {
  return { name: 'claim_grants', text: CLAIM, values: [plainArray(stepIds), stepIds.length] };
}

const DROP_ALL = DROP('');
const FORGET = `
  delete from workflow_step_limits l
   where l.asked_at < now() - interval '1 hour' and (l.window_ends_at is null or l.window_ends_at < now())
     and not exists (select 1 from workflow_step_grants g where g.limit_id = l.id)`;

/** Housekeeping: deletes stale grants of unused keys, and limits without grants. */
export async function forgetLimits(db: Db): Promise<void> {
  await db.query(DROP_ALL);
  await db.query(FORGET);
}
