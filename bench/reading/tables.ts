/**
 * Many executions of ten steps as they look over 90 days, made in SQL: of 20 templates in 11 workspaces, most of them completed,
 * some failed, a few open; some with tags and keys.
 */
import { createPool, type Pool } from '../../db/connection/client.ts';

export const STEPS = 10;
const AT_ONCE = 20_000;

/** Execution n of $3, from $1 to $2. The numbers are spread by multiplying with primes. */
const EXECUTIONS = `
  with t as (select id, row_number() over (order by name) - 1 as n, count(*) over () as count
               from workflow_templates where name like 'reading-%'),
  made as (
    select n, (n::bigint * 7919 % 10000)::int as x, (n::bigint * 104729 % 10007)::int as y
      from generate_series($1::int, $2::int) n),
  shaped as (
    select m.*, t.id as template_id,
           case when x < 9000 then 'completed' when x < 9500 then 'failed' when x < 9700 then 'cancelled'
                when x < 9800 then 'timed_out' when x < 9990 then 'completed' else 'running' end as status,
           now() - interval '90 days' * (1 - m.n::double precision / $3::int) as created_at
      from made m join t on t.n = case when y < 5000 then 0 else y % t.count end)
  insert into workflow_executions (id, workflow_template_id, workspace_id, status, inputs, created_at, started_at, completed_at,
                                   tags, idempotency_key, sequence, error)
  select execution_engine_uuidv7(), template_id,
         case when y % 2 = 0 then ('00000000-0000-4000-8000-' || lpad((y % 10)::text, 12, '0'))::uuid end,
         status, jsonb_build_object('n', n, 'text', repeat('x', 200)), created_at, created_at,
         case when status <> 'running' then created_at + (y % 6000) * interval '10 milliseconds' end,
         case when x % 10 = 0 then array['region-' || y % 5, 'customer-' || n % 5000] else '{}'::text[] end,
         case when x % 3 = 0 then 'order-' || n end, 20,
         case when status = 'failed' then jsonb_build_object('code', 'code_' || y % 50, 'message', 'It failed.', 'step', 's5') end
    from shaped
  returning id`;

const STEP_ROWS = `
  insert into workflow_step_executions (id, workflow_execution_id, step_template_id, status, outputs, attempt_count, created_at,
                                        started_at, completed_at, waiting_for, sequence)
  select execution_engine_uuidv7(), e.id, s.id,
         case when e.status = 'running' and s.position = 9 then 'waiting' else 'completed' end, '{"ok":true}', 1,
         e.created_at, e.created_at, case when e.status = 'running' and s.position = 9 then null else e.created_at end,
         case when e.status = 'running' and s.position = 9 then '{"kind":"signal","name":"go"}'::jsonb end, 1
    from workflow_executions e join workflow_step_templates s on s.workflow_template_id = e.workflow_template_id
   where e.id = any($1::uuid[])`;

/** What migration 0033 notes of executions that are there already. */
const ENDS = `
  insert into workflow_ended (execution_id, workflow_template_id, workspace_id, status, ended_at, duration_ms)
  select id, workflow_template_id, workspace_id, status, completed_at, extract(epoch from completed_at - started_at) * 1000
    from workflow_executions where completed_at is not null`;

/** Children of one execution. */
const CHILDREN = `
  update workflow_executions set parent_execution_id = p.id, root_execution_id = p.id, parent_step_id = gen_random_uuid(),
                                 parent_attempt = 1
    from (select id from workflow_executions where status = 'completed' order by id limit 1) p
   where workflow_executions.id in (
     select id from workflow_executions where status = 'completed' order by id offset 1 limit 5000)`;

/** Fills the tables of a database whose engine has published the templates. */
export async function fillTables(url: string, executions: number): Promise<void> {
  const pool = createPool(url, { max: 1, applicationName: 'bench', statementTimeoutMs: 0 });
  try {
    // The rows are right by their making: foreign keys would be checked one by one.
    await pool.query('set session_replication_role = replica');
    for (let from = 1; from <= executions; from += AT_ONCE) {
      const to = Math.min(executions, from + AT_ONCE - 1);
      const { rows } = await pool.query(EXECUTIONS, [from, to, executions]);
      await pool.query(STEP_ROWS, [rows.map(({ id }) => id)]);
      if (((from - 1) / AT_ONCE) % 10 === 0) console.log(`${to} executions`);
    }
    await pool.query(CHILDREN);
    await pool.query(ENDS);
    await pool.query('vacuum (analyze) workflow_executions, workflow_step_executions, workflow_ended');
  } finally {
    await pool.end();
  }
}

/** Resolves when every end is counted. */
export async function untilCounted(pool: Pool, pause: () => Promise<void>): Promise<void> {
  for (;;) {
    const { rows } = await pool.query('select count(*) as count from workflow_ended');
    if (Number(rows[0].count) === 0) return;
    await pause();
  }
}
