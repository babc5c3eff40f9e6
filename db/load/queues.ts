/**
 * Reads how much work is ready, by queue, by step type and by workspace. Each count ends at a number, so a backlog of any size
 * costs the same.
 */
import type { Db } from '../connection/client.ts';

/** Jobs of a queue, executions in line, and free tasks, that are counted. */
export const MAX_COUNTED = 10_000;
/** Step types, workspaces and queues of tasks that are listed, those with the most work first. */
const MAX_LISTED = 100;

export interface ReadyWork {
  /** `queue`: of pg-boss, `task`: of workers. */
  readonly by: 'queue' | 'type' | 'workspace' | 'task';
  /** Null: the workspace of executions without one. */
  readonly name: string | null;
  readonly depth: number;
  readonly oldestAgeSeconds: number;
}

/**
 * A queued step has one job with its id; how long it has been ready is in its row. Of the queue of executions the due timers
 * count, and the executions in line, which have no job.
 */
const READY = (jobTables: string) => `
  with jobs as materialized (
    select q.name, j.id from unnest(array['StepExecutionQueue', 'MergeExecutionQueue']) q(name)
     cross join lateral (
       select id from ${jobTables} where name = q.name and state < 'active' and not blocked limit ${MAX_COUNTED}) j),
   steps as materialized (
    select j.name, t.type, e.workspace_id, s.updated_at as since
      from jobs j
     cross join lateral (
       select x.workflow_execution_id, x.step_template_id, x.updated_at from workflow_step_executions x
        where x.id = j.id and x.status = 'queued' offset 0) s
     cross join lateral (select type from workflow_step_templates x where x.id = s.step_template_id offset 0) t
     cross join lateral (select workspace_id from workflow_executions x where x.id = s.workflow_execution_id offset 0) e),
   pending as materialized (
    select workspace_id, updated_at as since from workflow_executions
     where status = 'pending' and start_after is null limit ${MAX_COUNTED}),
   timers as materialized (
    select start_after as since from ${jobTables}
     where name = 'WorkflowExecutionQueue' and state < 'active' and not blocked and start_after <= now()
     limit ${MAX_COUNTED}),
   tasks as materialized (
    select queue, created_at as since from workflow_tasks where token is null limit ${MAX_COUNTED}),
   ready as (
    select 'queue' as by, name, since from steps
    union all select 'queue', 'WorkflowExecutionQueue', since from pending
    union all select 'queue', 'WorkflowExecutionQueue', since from timers
    union all select 'type', type, since from steps
    union all select 'workspace', workspace_id::text, since from steps
    union all select 'workspace', workspace_id::text, since from pending
    union all select 'task', queue, since from tasks)
  select by, name, depth, age from (
    select by, name, count(*)::integer as depth, extract(epoch from now() - min(since)) as age,
           row_number() over (partition by by order by count(*) desc, name) as place
      from ready group by by, name) r
   where place <= ${MAX_LISTED}
   order by by, place`;

export async function readReadyWork(db: Db, jobTables: string): Promise<ReadyWork[]> {
  const { rows } = await db.query(READY(jobTables));
  return rows.map(({ by, name, depth, age }) => ({
    by,
    name,
    depth,
    oldestAgeSeconds: Math.max(0, Math.round(Number(age) * 10) / 10),
  }));
}
