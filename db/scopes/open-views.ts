/**
 * The views that are open: executions, and scopes of them. What runs or waits is a step of one of these, so a search for it
 * takes as long as there is work under way, however much of the same executions is over.
 */
import type { Db } from '../connection/client.ts';

/**
 * SQL: the open views that have begun: `id` of the execution, its `workflow_template_id`, and `path` of the scope. Uses
 * workflow_executions_open, workflow_executions_compensating, workflow_scopes_open and workflow_scopes_compensating; `offset 0` keeps the planner from
 * a join that would read all executions.
 */
export const OPEN_VIEWS = `(
  select id, workflow_template_id, '' as path from workflow_executions where status in ('running', 'paused')
  union all
  select id, workflow_template_id, '' from workflow_executions where status = 'compensating'
  union all
  select c.workflow_execution_id, x.workflow_template_id, c.path
    from (select workflow_execution_id, path from workflow_scopes where status = 'running'
          union all
          select workflow_execution_id, path from workflow_scopes where status = 'compensating') c
   cross join lateral (
     select workflow_template_id from workflow_executions where id = c.workflow_execution_id offset 0) x)`;

export interface OpenWork {
  /** By status. */
  readonly executions: Record<string, number>;
  readonly steps: Record<string, number>;
  /** How long the oldest timer is overdue: of a step that waits, or of an execution that was put off. */
  readonly timerLatenessSeconds: number;
}

/** Returns the numbers of executions and steps that are not final. */
export async function countOpen(db: Db): Promise<OpenWork> {
  const { rows } = await db.query(`
    with open as (
      select id, status, start_after from workflow_executions where status in ('pending', 'running', 'paused')
      union all select id, status, start_after from workflow_executions where status = 'compensating')
    select 'executions' as kind, status, count(*) as count,
           extract(epoch from now() - min(start_after) filter (where status = 'pending')) as late
      from open group by status
    union all
    select 'steps', s.status, count(*),
           extract(epoch from now() - min(s.resume_at) filter (where s.status in ('waiting', 'retrying')))
      from ${OPEN_VIEWS} v
      cross join lateral (
        select status, resume_at from workflow_step_executions
         where workflow_execution_id = v.id and scope = v.path offset 0) s
     where s.status in ('waiting_inputs', 'queued', 'running', 'waiting', 'retrying')
     group by s.status`);
  const counts = { executions: {} as Record<string, number>, steps: {} as Record<string, number> };
  for (const { kind, status, count } of rows) counts[kind as 'executions' | 'steps'][status] = Number(count);
  return { ...counts, timerLatenessSeconds: Math.max(0, ...rows.map(({ late }) => Number(late ?? 0))) };
}
