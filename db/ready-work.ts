/**
 * Ready work: how much there is, how long it has waited, and the part that no live engine can run.
 *
 * A ready step has a job, but its waiting time is in its row: a job without effect is delayed and rewritten again and
 * again.
 */
import type { Db } from './connection/client.ts';
import { BY_HEARTBEAT } from './engine-alive.ts';

export interface QueueDepth {
  readonly queue: string;
  readonly depth: number;
  readonly oldestAgeSeconds: number;
}

/** The queued steps `s` of the jobs `j` in the step queues, each by its primary key: its job has the same id. */
const queuedSteps = (jobTables: string) => `
  ${jobTables} j
  cross join lateral (
    select x.step_template_id, x.updated_at from workflow_step_executions x
     where x.id = j.id and x.status = 'queued' offset 0) s
 where j.name in ('StepExecutionQueue', 'MergeExecutionQueue') and j.state < 'active' and not j.blocked`;

/**
 * Returns ready steps by the queue of their job; for the queue of executions, due jobs and pending executions. The
 * row of a ready step or pending execution was last written when it became ready.
 */
export async function readQueueDepths(db: Db, jobTables: string): Promise<QueueDepth[]> {
  const { rows } = await db.query(
    `select q.name, count(w.since) as depth, coalesce(extract(epoch from now() - min(w.since)), 0) as age
       from unnest(array['WorkflowExecutionQueue', 'StepExecutionQueue', 'MergeExecutionQueue']) q(name)
       left join (select j.name, s.updated_at as since from ${queuedSteps(jobTables)}
                  union all
                  select name, start_after from ${jobTables}
                   where name = 'WorkflowExecutionQueue' and state < 'active' and not blocked and start_after <= now()
                  union all
                  select 'WorkflowExecutionQueue', updated_at from workflow_executions
                   where status = 'pending' and start_after is null) w on w.name = q.name
      group by q.name`,
  );
  return rows.map((row) => ({
    queue: row.name,
    depth: Number(row.depth),
    oldestAgeSeconds: Number(row.age),
  }));
}

/** SQL: the live engines that run steps. @param isAlive condition on an engine's row */
export function ableEngines(isAlive: (row: string) => string): string {
  return `select g.step_types from execution_engines g where g.capacity > 0 and ${isAlive('g')}`;
}

export interface WorkForNobody {
  /** Number of live engines that run steps. */
  readonly engines: number;
  /** Ready steps whose type none of these engines has. */
  readonly steps: readonly { readonly type: string; readonly count: number }[];
  /** Pending executions: each needs an engine that has all step types of its template. */
  readonly executions: readonly {
    readonly template: string;
    /** Types of the template that no live engine has; empty: each engine has only part of the types. */
    readonly missing: readonly string[];
    readonly count: number;
  }[];
}

const MAX_NAMED = 10;

/**
 * Returns work that has been ready for the grace and that no live engine can begin, according to their registered
 * types.
 */
export async function findWorkForNobody(
  db: Db,
  jobTables: string,
  graceSeconds: number,
): Promise<WorkForNobody> {
  const { rows } = await db.query(
    `with able as materialized (${ableEngines(BY_HEARTBEAT.engineIsAlive)}),
     ready as (
       select s.step_template_id, count(*) as count, min(s.updated_at) as since
         from ${queuedSteps(jobTables)} group by s.step_template_id),
     pending as (
       select workflow_template_id, count(*) as count, min(updated_at) as since
         from workflow_executions where status = 'pending' and start_after is null group by workflow_template_id),
     steps as (
       select t.type, sum(r.count)::integer as count
         from ready r
        cross join lateral (select type from workflow_step_templates x where x.id = r.step_template_id offset 0) t
        where r.since <= now() - make_interval(secs => $1::double precision)
          and not exists (select from able where step_types is null or t.type = any(step_types))
        group by t.type order by t.type limit $2),
     executions as (
       select t.name as template, p.count::integer as count,
              array(select n.type from unnest(k.types) n(type)
                     where not exists (select from able where n.type = any(step_types)) order by 1) as missing
         from pending p
        cross join lateral (select name from workflow_templates x where x.id = p.workflow_template_id offset 0) t
        cross join lateral (
          select coalesce(array_agg(distinct x.type), '{}') as types from workflow_step_templates x
           where x.workflow_template_id = p.workflow_template_id offset 0) k
        where p.since <= now() - make_interval(secs => $1::double precision)
          and not exists (select from able where step_types is null or step_types @> k.types)
        order by t.name limit $2)
     select (select count(*) from able)::integer as engines,
            (select coalesce(json_agg(s), '[]') from steps s) as steps,
            (select coalesce(json_agg(e), '[]') from executions e) as executions`,
    [graceSeconds, MAX_NAMED],
  );
  return rows[0];
}
