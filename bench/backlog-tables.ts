/**
 * Tables as they look after a burst, made in SQL: executions that wait in line, and executions that ended.
 *
 * Waiting executions are written as `workflow_start` writes them. Ended ones are copied from an execution that the
 * engine ran, row by row under new ids, so that they are consistent with any schema. Ids are UUIDv7 that count upwards.
 */
import type { Pool } from '../db/connection/client.ts';
import { OBSERVED } from './subject/protocol.ts';

const PGBOSS_SCHEMA = 'pgboss';
const FILL_SIZE = 20_000;

/** `user_id` of the n-th execution of a backlog carries its number: the first that waits tells how many began. */
const NUMBERED = `('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid`;

const ENQUEUE = `
  insert into workflow_executions (id, workflow_template_id, status, inputs, user_id)
  select execution_engine_uuidv7(), t.id, 'pending', '{}', ${NUMBERED}
    from generate_series($2::integer, $3::integer) n
   cross join (select id from workflow_templates where name = $1 order by version desc limit 1) t ${OBSERVED}`;

const FIRST_WAITING = `
  select right(user_id::text, 12)::integer as n
    from workflow_executions
   where status = 'pending' and start_after is null
   order by coalesce(workspace_id, '00000000-0000-0000-0000-000000000000'), priority desc, id
   limit 1 ${OBSERVED}`;

/** Executions of one template that wait in line, of a wanted number. */
export class Backlog {
  readonly #pool: Pool;
  readonly #template: string;
  #written = 0;
  /** The shortest that the line was found. */
  lowest = Number.POSITIVE_INFINITY;

  constructor(pool: Pool, template: string) {
    this.#pool = pool;
    this.#template = template;
  }

  /** Lengthens the line until `depth` wait. */
  async fill(depth: number): Promise<void> {
    const waiting = await this.#waiting();
    if (this.#written > 0) this.lowest = Math.min(this.lowest, waiting);
    let missing = depth - waiting;
    while (missing > 0) {
      const count = Math.min(missing, FILL_SIZE);
      await this.#pool.query(ENQUEUE, [this.#template, this.#written + 1, this.#written + count]);
      this.#written += count;
      missing -= count;
    }
  }

  async #waiting(): Promise<number> {
    const { rows } = await this.#pool.query(FIRST_WAITING);
    return rows.length === 0 ? 0 : this.#written - rows[0].n + 1;
  }
}

/** Of the n-th copy, its k-th row of a table; counts upwards with n and k, in the past. */
const COPIED_ID = (n: string, k: string, table: number) =>
  `(lpad(to_hex(base.ms + ${n}), 12, '0') || '7' || lpad(to_hex(${k}), 3, '0') || '8' || '${table}' ||
    lpad(to_hex(${n}), 14, '0'))::uuid`;

/**
 * Copies the only execution there is, which has ended, `count` times: with its steps and their inputs. Foreign keys are
 * not checked meanwhile: the copied rows fulfilled them.
 */
export async function copyEnded(pool: Pool, count: number): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query(`set session_replication_role = replica`);
    await client.query(`
      create temp table base as
        select id, (extract(epoch from created_at) * 1000)::bigint - ${count} - 1000 as ms from workflow_executions;
      create temp table base_steps as
        select s.*, row_number() over (order by id) as k from workflow_step_executions s;
      create temp table base_inputs as
        select i.*, row_number() over (order by id) as k from workflow_input_tracker i`);
    for (let from = 1; from <= count; from += FILL_SIZE) {
      const copies = `generate_series(${from}, ${Math.min(count, from + FILL_SIZE - 1)}) n`;
      for (const text of copyStatements(copies)) await client.query(text);
    }
  } finally {
    // Ends the connection, so that its setting affects no other work.
    client.release(true);
  }
}

function copyStatements(copies: string): string[] {
  const copied = (table: string, row: string, fields: string) =>
    `lateral jsonb_populate_record(null::${table}, to_jsonb(${row}) || jsonb_build_object(${fields})) copy`;
  const execution = COPIED_ID('n', '0', 0);
  const step = (k: string) => COPIED_ID('n', k, 1);
  const ids = `'id', ${step('s.k')}, 'workflow_execution_id', ${execution}`;
  const inputIds =
    `'id', ${COPIED_ID('n', 'i.k', 2)}, ` +
    `'step_execution_id', ${step('t.k')}, 'from_step_execution_id', ${step('f.k')}`;
  return [
    `insert into workflow_executions select copy.*
       from ${copies}, base join workflow_executions e on e.id = base.id,
            ${copied('workflow_executions', 'e', `'id', ${execution}`)}`,
    `insert into workflow_step_executions select copy.*
       from ${copies}, base, base_steps s, ${copied('workflow_step_executions', 's', ids)}`,
    `insert into workflow_input_tracker select copy.*
       from ${copies}, base, base_inputs i
       join base_steps t on t.id = i.step_execution_id
       join base_steps f on f.id = i.from_step_execution_id,
            ${copied('workflow_input_tracker', 'i', inputIds)}`,
  ];
}

/** Every table of the database, the queue's partitions included. */
const EACH_TABLE = (statement: string) => `
  do $$ declare t record; begin
    for t in select c.oid::regclass as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
              where c.relkind = 'r' and n.nspname in ('public', '${PGBOSS_SCHEMA}')
    loop execute format('${statement}', t.name); end loop;
  end $$`;

/** The planner's statistics say "empty" from now on, even when rows come in. */
export async function freezeStatistics(pool: Pool): Promise<void> {
  await pool.query(EACH_TABLE('alter table %s set (autovacuum_enabled = false)'));
  await pool.query('analyze');
}

/** Makes statistics as autovacuum does, and turns autovacuum on again. */
export async function refreshStatistics(pool: Pool): Promise<void> {
  await pool.query(EACH_TABLE('alter table %s reset (autovacuum_enabled)'));
  await pool.query('analyze');
}
