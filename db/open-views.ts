/**
 * The views that are open: executions, and scopes of them. What runs or waits is a step of one of these, so a search for it
 * takes as long as there is work under way, however much of the same executions is over.
 */

/**
 * SQL: the open views that have begun: `id` of the execution, its `workflow_template_id`, and `path` of the scope. Uses
 * workflow_executions_open, workflow_executions_compensating and workflow_scopes_open; `offset 0` keeps the planner from
 * a join that would read all executions.
 */
export const OPEN_VIEWS = `(
  select id, workflow_template_id, '' as path from workflow_executions where status in ('running', 'paused')
  union all
  select id, workflow_template_id, '' from workflow_executions where status = 'compensating'
  union all
  select c.workflow_execution_id, x.workflow_template_id, c.path
    from workflow_scopes c
   cross join lateral (
     select workflow_template_id from workflow_executions where id = c.workflow_execution_id offset 0) x
   where c.status = 'running')`;
