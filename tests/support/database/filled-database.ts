/**
 * A database with enough in it for plans to be those of a busy one.
 */
import type { Pool } from '../../../db/connection/client.ts';

/** Of the engine that runs what is running. */
export const ENGINE_ID = '00000000-0000-4000-8000-000000000001';

export interface Filled {
  readonly executionIds: readonly string[];
  readonly stepIds: readonly string[];
  readonly templateId: string;
  readonly stepTemplateId: string;
}

/** 20,000 executions of five steps, most of them over, with their edges. Returns ids of some that run. */
export async function fill(pool: Pool): Promise<Filled> {
  const { rows: templates } = await pool.query(
    `select t.id, min(s.id::text) as step from workflow_templates t
       join workflow_step_templates s on s.workflow_template_id = t.id
      group by t.id having count(*) >= 5 limit 1`,
  );
  const { id: templateId, step: stepTemplateId } = templates[0];
  await withoutAutovacuum(pool);
  await pool.query(
    `insert into workflow_executions (id, workflow_template_id, status, inputs, sequence, idempotency_key, completed_at)
     select execution_engine_uuidv7(), $1, case when n % 50 = 0 then 'running' else 'completed' end, '{"n":1}', 6,
            'key-' || n, case when n % 50 = 0 then null else now() end
       from generate_series(1, 20000) n`,
    [templateId],
  );
  await pool.query(
    `insert into workflow_step_executions
       (workflow_execution_id, step_template_id, status, outputs, attempt_count, claimed_by)
     select e.id, s.id, case when e.status = 'running' and s.position = 3 then 'running'
                             when e.status = 'running' and s.position = 4 then 'waiting_inputs' else 'completed' end,
            '{"ok":true}', 1, $1
       from workflow_executions e join workflow_step_templates s on s.workflow_template_id = e.workflow_template_id
      where s.position < 5`,
    [ENGINE_ID],
  );
  await pool.query(
    `insert into workflow_input_tracker (step_execution_id, from_step_execution_id)
     select s.id, p.id
       from workflow_step_executions s
       join workflow_step_templates t on t.id = s.step_template_id and t.position between 1 and 4
       join workflow_step_executions p on p.workflow_execution_id = s.workflow_execution_id and p.id <> s.id
       join workflow_step_templates u on u.id = p.step_template_id and u.position = t.position - 1`,
  );
  // Timers that are far away, which nothing that runs each second may wade through.
  await pool.query(
    `insert into pgboss.job (id, name, data, start_after, keep_until, policy)
     select gen_random_uuid(), q.name, '{}', now() + interval '1 day', now() + interval '10 years', 'standard'
       from generate_series(1, 10000), unnest(array['WorkflowExecutionQueue', 'StepExecutionQueue']) q(name)`,
  );
  await pool.query(
    'vacuum (analyze) workflow_executions, workflow_step_executions, workflow_input_tracker, pgboss.job',
  );
  const { rows } = await pool.query(
    `select e.id, s.id as step from workflow_executions e
       join workflow_step_executions s on s.workflow_execution_id = e.id and s.status = 'running'
      where e.status = 'running' limit 20`,
  );
  return {
    executionIds: rows.map(({ id }) => id),
    stepIds: rows.map(({ step }) => step),
    templateId,
    stepTemplateId,
  };
}

/** Keeps the server from vacuuming the large tables by itself: plans differ before and after it. */
async function withoutAutovacuum(pool: Pool): Promise<void> {
  const { rows } = await pool.query(
    `select c.oid::regclass::text as name from pg_class c
      where c.relname in ('workflow_executions', 'workflow_step_executions', 'workflow_input_tracker')
         or c.oid in (select inhrelid from pg_inherits where inhparent = 'pgboss.job'::regclass)`,
  );
  for (const { name } of rows) await pool.query(`alter table ${name} set (autovacuum_enabled = off)`);
}
