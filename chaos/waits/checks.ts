/**
 * Checks of the signals: each ended one wait at most, and each wait that completed was ended by one.
 */
export const SIGNAL_CHECKS: Readonly<Record<string, string>> = {
  'a wait did not end by exactly one signal': `
    with used as (select step_execution_id as id, count(*) as count
                    from workflow_signals where step_execution_id is not null group by step_execution_id)
    select s.workflow_execution_id as execution_id,
           concat_ws('/', nullif(s.scope, ''), t.key, s.id) || ' is ' || s.status || ', with ' || coalesce(u.count, 0) || ' signals' as detail
      from workflow_step_executions s
      join workflow_step_templates t on t.id = s.step_template_id and t.type = 'wait'
      left join used u on u.id = s.id
     where coalesce(u.count, 0) <> (s.status = 'completed')::integer`,
};
