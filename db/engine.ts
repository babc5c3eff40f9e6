/**
 * Statements on execution_engines, and the one query an idle process makes each second.
 */
import type pg from 'pg';
import type { ScopeId } from '../core/view.ts';
import { plainArray, textArray } from './array-literal.ts';
import type { Db } from './connection/client.ts';
import { BY_LEASE, LATE_MS, SETTLES_AT, type SignsOfLife } from './engine-alive.ts';
import { OPEN_VIEWS } from './scopes/open-views.ts';
import { scopeOfStep } from './scopes/scope.ts';

export interface EngineRow {
  readonly id: string;
  readonly role: string;
  readonly host: string;
  readonly pid: number;
  readonly version: string;
  readonly capacity: number;
  readonly stepTypes: readonly string[];
}

/** Registers an engine in the session of its heartbeats. */
export async function registerEngine(
  db: Db,
  engine: EngineRow,
  { takesLease }: SignsOfLife = BY_LEASE,
): Promise<void> {
  const { id, role, host, pid, version, capacity, stepTypes } = engine;
  await db.query(
    `insert into execution_engines (id, role, host, pid, version, capacity, step_types, settled_at, has_lease)
     values ($1::uuid, $2, $3, $4, $5, $6, $7::text[], coalesce(${SETTLES_AT}, now()), ${takesLease('$1::uuid')})
     on conflict (id) do update set heartbeat_at = now(), has_lease = excluded.has_lease`,
    [id, role, host, pid, version, capacity, textArray(stepTypes)],
  );
}

/** Unregisters an engine. One that still holds steps stays, until it is silent and its steps are rescued. */
export async function unregisterEngine(db: Db, id: string): Promise<void> {
  await db.query(
    `delete from execution_engines g
      where g.id = $1
        and not exists (
          select from ${OPEN_VIEWS} e
            cross join lateral (select from workflow_step_executions s
                                 where s.workflow_execution_id = e.id and s.scope = e.path
                                   and s.status = 'running' and s.claimed_by = $1
                                offset 0) held)`,
    [id],
  );
}

export interface Pulse {
  /** False when this engine's own row was removed: it was declared dead. */
  readonly registered: boolean;
  /** Other engines that are alive. */
  readonly peers: readonly string[];
  readonly deadEngines: readonly string[];
  readonly hasJobs: boolean;
  readonly ended: EndedExecutions;
}

/** Executions that end, or have ended. */
export interface EndedExecutions {
  readonly final: readonly string[];
  /** Their steps are to end, but not their compensations. */
  readonly windingDown: readonly string[];
}

/**
 * Timeout of a heartbeat's answer. A connection that fell silent would keep it waiting longer than an engine
 * may be silent: after this time it is sent again on another connection.
 */
const ANSWER_MS = 2_000;

const endedOf = (ids: string) => `
  select coalesce(array_agg(id::text) filter (where completed_at is not null), '{}') as final,
         coalesce(array_agg(id::text) filter (where completed_at is null), '{}') as winding_down
    from workflow_executions
   where id = any(${ids}::uuid[])
     and (completed_at is not null or stop_requested_at is not null or status || '' = 'compensating')`;

/** Returns those of the executions that are final, being stopped or compensating. */
export async function endedExecutions(db: Db, executionIds: readonly string[]): Promise<EndedExecutions> {
  const { rows } = await db.query({
    name: 'ended_executions',
    text: endedOf('$1'),
    values: [plainArray(executionIds)],
  });
  return { final: rows[0].final, windingDown: rows[0].winding_down };
}

/**
 * Sends the heartbeat, and reads peers, due jobs and the watched executions: one statement.
 * @param watched executions of which this process runs steps or has waiters
 */
export async function pulse(
  db: Db,
  engine: { id: string; runningCount: number; hasLease: boolean },
  jobTables: string,
  watched: readonly string[],
  { engineIsAlive, mayJudge, wasAway, leaseIsHeld, takesLease }: SignsOfLife = BY_LEASE,
): Promise<Pulse> {
  const beat: pg.QueryConfig & { query_timeout: number } = {
    query_timeout: ANSWER_MS,
    name: 'pulse',
    text: `
      with last as materialized (
        select g.id, ${wasAway('g')} as was_away from execution_engines g where g.id = $1),
      beat as (
        update execution_engines g
           set heartbeat_at = now(), running_count = $2,
               has_lease = ${takesLease('g.id')} or ($4 and (not l.was_away or ${leaseIsHeld('g')})),
               heard_since = case when l.was_away then now() else g.heard_since end,
               settled_at = case when l.was_away then ${SETTLES_AT} else g.settled_at end
          from last l where g.id = l.id
        returning g.id, g.started_at, g.heard_since, g.settled_at),
      others as materialized (
        select p.id, p.heartbeat_at, p.has_lease, ${engineIsAlive('p')} as is_alive
          from execution_engines p where p.id <> $1)
      select (select count(*) from beat) = 1 as registered,
             array(select p.id::text from others p where p.is_alive) as peers,
             array(select p.id::text from others p cross join beat o
                    where not p.is_alive and ${mayJudge('o', 'p')}) as dead,
             exists (select 1 from ${jobTables}
                      where name in ('WorkflowExecutionQueue', 'StepExecutionQueue', 'MergeExecutionQueue')
                        and state < 'active' and not blocked and start_after <= now())
               or exists (select 1 from workflow_executions
                           where status = 'pending' and start_after is null) as has_jobs,
             ended.final, ended.winding_down
        from (${endedOf('$3')}) ended`,
    values: [engine.id, engine.runningCount, plainArray(watched), engine.hasLease],
  };
  const { rows } = await db.query(beat);
  const [row] = rows;
  return {
    registered: row.registered,
    peers: row.peers,
    deadEngines: row.dead,
    hasJobs: row.has_jobs,
    ended: { final: row.final, windingDown: row.winding_down },
  };
}

export interface OwnedStep {
  readonly id: string;
  readonly executionId: string;
  /** Null: the top level. */
  readonly scope: ScopeId | null;
  readonly templateId: string;
  readonly stepTemplateId: string;
  readonly attempt: number;
  /** How often its process has died. */
  readonly crashes: number;
  readonly owner: string;
}

export interface OrphanSearch {
  /** The id of the asking engine. */
  readonly self: string;
  readonly limit: number;
  /** Templates whose steps it cannot run. */
  readonly exceptTemplates?: readonly string[];
  /** Whether steps of owners that are not on the list are looked for where no engine of the list is dead. Default: true. */
  readonly isThorough?: boolean;
}

/**
 * Returns running steps whose owner is dead or unregistered, up to `limit`. Reads the steps of open views by
 * workflow_step_executions_scope_step: `offset 0` keeps the planner from the one join that would read every step ever
 * written. A search that is not thorough reads none of them where no engine is dead.
 */
export async function stepsOfTheDead(
  db: Db,
  { self, limit, exceptTemplates = [], isThorough = true }: OrphanSearch,
  { engineIsAlive, mayJudge, wasAway }: SignsOfLife = BY_LEASE,
): Promise<OwnedStep[]> {
  // An engine that was away declares no peer dead before its next heartbeat.
  const { rows } = await db.query(
    `with observer as materialized (
       select o.id, o.started_at, o.heard_since, o.settled_at from execution_engines o
        where o.id = $1 and not ${wasAway('o')}),
     dead as materialized (
       select p.id from execution_engines p cross join observer o
        where p.id <> $1 and not ${engineIsAlive('p')} and ${mayJudge('o', 'p')})
     select d.*, e.workflow_template_id
       from ${OPEN_VIEWS} e
       cross join lateral (
         select s.id, s.workflow_execution_id, s.step_template_id, s.attempt_count, s.crash_count, s.claimed_by,
                s.holder_id, s.scope
           from workflow_step_executions s
          where s.workflow_execution_id = e.id and s.scope = e.path and s.status = 'running'
            and (s.claimed_by = any(array(select id from dead))
                 or (coalesce(s.claimed_by <> all(array(select id from execution_engines)), true)
                     and exists (select from observer where settled_at <= now())))
         offset 0) d
      where e.workflow_template_id <> all ($3::uuid[]) and ($4 or (select exists (select from dead)))
      limit $2`,
    [self, limit, plainArray(exceptTemplates), isThorough],
  );
  return rows.map((row) => ({
    id: row.id,
    executionId: row.workflow_execution_id,
    scope: scopeOfStep(row.holder_id, row.scope),
    templateId: row.workflow_template_id,
    stepTemplateId: row.step_template_id,
    attempt: row.attempt_count,
    crashes: row.crash_count,
    owner: row.claimed_by,
  }));
}

/**
 * Returns milliseconds until an engine whose lease is free counts as dead, if no heartbeat comes; null: the engine is
 * gone, it unregistered.
 */
export async function msUntilLate(db: Db, engineId: string): Promise<number | null> {
  const { rows } = await db.query(
    `select extract(epoch from heartbeat_at - now()) * 1000 + ${LATE_MS} as ms from execution_engines where id = $1`,
    [engineId],
  );
  return rows[0] === undefined ? null : Math.max(0, Number(rows[0].ms));
}

/** Deletes engines that have been silent for so long that no late write of theirs can arrive. */
export async function forgetEngines(db: Db): Promise<void> {
  await db.query(`delete from execution_engines where heartbeat_at < now() - interval '1 minute'`);
}
