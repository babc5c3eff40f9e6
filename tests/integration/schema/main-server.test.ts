/**
 * Databases that a main server owns: its tables stay, its columns stay, and what does not fit is refused by name.
 */
import { expect, test } from 'bun:test';
import type pg from 'pg';
import type { TestEngine } from '../../support/engine.ts';
import { fixtureForEach } from '../../support/fixture.ts';

let client: pg.Client;

const fixture = fixtureForEach(async () => {
  await fixture.database({ migrated: false });
  client = await fixture.client();
});

const start = (config: Record<string, string> = {}): Promise<TestEngine> => fixture.engine({ config });

async function refusal(config: Record<string, string> = {}): Promise<string> {
  return start(config).then(
    () => 'the engine started',
    (error: Error) => error.message,
  );
}

const columns = async (table: string) => {
  const { rows } = await client.query(
    `select column_name, data_type from information_schema.columns
      where table_schema = 'public' and table_name = $1`,
    [table],
  );
  return Object.fromEntries(rows.map((row) => [row.column_name, row.data_type]));
};

test('template tables of a main server keep their columns and rows, and the engine works beside them', async () => {
  await client.query(`
    create table workflow_templates (
      id uuid primary key default gen_random_uuid(), name varchar(200) not null, owner_email text not null default 'nobody',
      is_active boolean default true, graph jsonb, created_at timestamp default now());
    create table workflow_step_templates (
      id uuid primary key default gen_random_uuid(),
      workflow_template_id uuid not null references workflow_templates (id), name text, step_type text, config jsonb,
      position integer not null default 0);
    insert into workflow_templates (id, name, graph) values ('00000000-0000-4000-8000-000000000001', 'theirs', '{"x": 1}');
    insert into workflow_step_templates (workflow_template_id, name, step_type)
      values ('00000000-0000-4000-8000-000000000001', 'their step', 'theirs');`);
  const { run, request } = await start();
  const end = await run({ steps: { a: { type: 'record', with: { value: 1 } } } });
  expect(end).toMatchObject({ status: 'completed', outputs: { a: 1 } });
  expect(await columns('workflow_templates')).toMatchObject({
    owner_email: 'text',
    is_active: 'boolean',
    graph: 'jsonb',
    name: 'character varying',
    definition: 'jsonb',
  });
  const { rows } = await client.query(
    `select t.name, t.graph, s.name as step from workflow_templates t
       join workflow_step_templates s on s.workflow_template_id = t.id where t.name = 'theirs'`,
  );
  expect(rows).toEqual([{ name: 'theirs', graph: { x: 1 }, step: 'their step' }]);
  expect((await request('POST', '/api/v1/execution/start', { template: 'theirs' })).status).toBe(404);
  expect((await request('GET', '/api/v1/templates')).body.data).toHaveLength(1);
  const byId = { workflow_template_id: '00000000-0000-4000-8000-000000000001' };
  expect((await request('POST', '/api/v1/execution/start', byId)).status).toBe(404);
});

test('execution tables with timestamps without a zone are converted, read as UTC', async () => {
  await client.query(`
    set timezone = 'Asia/Kolkata';
    create table workflow_templates (id uuid primary key, name text not null);
    create table workflow_step_templates (id uuid primary key, workflow_template_id uuid references workflow_templates (id));
    create table workflow_executions (
      id uuid primary key default gen_random_uuid(), workflow_template_id uuid not null references workflow_templates (id),
      status varchar(50) not null default 'pending', inputs jsonb, outputs jsonb, user_id uuid, workspace_id uuid,
      created_at timestamp default now(), updated_at timestamp default now(), completed_at timestamp);
    create table workflow_step_executions (
      id uuid primary key default gen_random_uuid(), workflow_execution_id uuid references workflow_executions (id),
      step_template_id uuid references workflow_step_templates (id), status varchar(50) not null default 'pending',
      required_inputs integer, received_inputs jsonb[], outputs jsonb, error text, attempt_count integer default 0,
      created_at timestamp default now(), updated_at timestamp default now(), completed_at timestamp);
    create table workflow_input_tracker (
      id uuid primary key default gen_random_uuid(), step_execution_id uuid references workflow_step_executions (id),
      from_step_execution_id uuid references workflow_step_executions (id), input_data jsonb,
      received_at timestamp default now(), unique (step_execution_id, from_step_execution_id));
    insert into workflow_templates values ('00000000-0000-4000-8000-000000000001', 'theirs');
    insert into workflow_executions (workflow_template_id, status, created_at, completed_at)
      values ('00000000-0000-4000-8000-000000000001', 'completed', '2024-05-01 12:00', '2024-05-01 12:30');`);
  const { run } = await start();
  for (const table of ['workflow_executions', 'workflow_step_executions', 'workflow_input_tracker']) {
    expect(Object.values(await columns(table))).not.toContain('timestamp without time zone');
  }
  const { rows } = await client.query(
    `select extract(epoch from created_at)::integer as created from workflow_executions where status = 'completed'`,
  );
  expect(rows).toEqual([{ created: Date.UTC(2024, 4, 1, 12) / 1000 }]);
  await client.query(`delete from workflow_executions`);
  const end = await run({ steps: { a: { type: 'record' }, b: { type: 'record', needs: ['a'] } } });
  expect(end.status).toBe('completed');
});

test.each(['workflow_templates', 'workflow_step_templates'])(
  'a table %p whose id is no uuid is refused by name, and nothing is changed',
  async (table) => {
    await client.query(`create table ${table} (id bigserial primary key, name text)`);
    const message = await refusal();
    expect(message).toContain(table);
    expect(message).toContain('bigint');
    expect(await columns(table)).toEqual({ id: 'bigint', name: 'text' });
    expect(await columns('workflow_executions')).toEqual({});
  },
);

test("a main server's older pg-boss is refused with the way out, which works", async () => {
  await client.query(`
    create schema pgboss;
    create table pgboss.version (version integer primary key, maintained_on timestamptz, cron_on timestamptz);
    insert into pgboss.version (version) values (20);
    create table pgboss.job (id uuid primary key default gen_random_uuid(), name text not null);
    insert into pgboss.job (name) values ('their job');`);
  const message = await refusal();
  expect(message).toContain('pgboss');
  expect(message).toContain('20');
  expect(message).toContain('EXECUTION_ENGINE_PGBOSS_SCHEMA');
  const { rows } = await client.query(
    'select (select version from pgboss.version) as version, (select count(*)::integer from pgboss.job) as jobs',
  );
  expect(rows[0]).toEqual({ version: 20, jobs: 1 });

  const { run } = await start({ EXECUTION_ENGINE_PGBOSS_SCHEMA: 'engine_queue' });
  expect(
    (
      await run({
        steps: { a: { type: 'record' }, d: { type: 'delay', needs: ['a'], with: { for: '5ms' } } },
      })
    ).status,
  ).toBe('completed');
  const { rows: after } = await client.query('select count(*)::integer as jobs from pgboss.job');
  expect(after[0].jobs).toBe(1);
});

test('a refused start leaves no connection behind', async () => {
  await client.query('create table workflow_templates (id integer primary key)');
  await refusal();
  // The server ends a session a moment after it was left.
  for (let left = 1; left > 0; ) {
    const { rows } = await client.query(
      `select count(*)::integer as left from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`,
    );
    left = rows[0].left;
  }
});

test('two engines that start at the same moment on an empty database both work', async () => {
  const engines = await Promise.all(['one', 'two', 'three'].map((name) => fixture.engine({ name })));
  const ends = await Promise.all(engines.map(({ run }) => run({ steps: { a: { type: 'record' } } })));
  expect(ends.map(({ status }) => status)).toEqual(['completed', 'completed', 'completed']);
});
