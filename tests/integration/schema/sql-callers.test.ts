/**
 * Who may start executions in SQL: a role that has nothing but `grant_execution_engine`, from any search path, and nobody
 * who was not given it. What others put into its way is not used.
 */
import { expect, test } from 'bun:test';
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

const role = `caller_${process.pid}_${randomBytes(3).toString('hex')}`;
const stranger = `stranger_${role}`;

let database: EngineDatabase;
let engine: TestEngine;
let template: string;
let client: pg.Client;

const fixture = fixtureForAll(
  async () => {
    database = await fixture.database();
    engine = await fixture.engine();
    template = await engine.publish({ steps: { a: { type: 'record', with: { value: '${{ input.n }}' } } } });
    await fixture.use(makeRoles(), () =>
      database.pool.query(`drop owned by ${role}, ${stranger}; drop role ${role}, ${stranger}`),
    );
    client = await connect(role);
  },
  { allFinal: false },
);

const makeRoles = () =>
  database.pool.query(`
    create role ${role} login password 'caller';
    create role ${stranger} login password 'caller';
    create schema elsewhere authorization ${role};
    grant usage on schema public to ${stranger};
    select grant_execution_engine('${role}')`);

async function connect(user: string): Promise<pg.Client> {
  const url = Object.assign(new URL(database.url), { username: user, password: 'caller' });
  const connected = await fixture.use(new pg.Client({ connectionString: url.href }), (made) => made.end());
  await connected.connect();
  await connected.query('set search_path = elsewhere');
  return connected;
}

async function start(inputs: object, options: object = {}): Promise<string> {
  const { rows } = await client.query('select public.workflow_start($1, $2, $3) as id', [
    template,
    inputs,
    options,
  ]);
  return rows[0].id;
}

test('a role with nothing else starts executions, at once and later, with a key, and takes them back', async () => {
  const now = await start({ n: 1 });
  expect((await engine.end(now)).outputs).toEqual({ a: 1 });
  const soon = await start({ n: 2 }, { start_after: '10ms' });
  expect((await engine.end(soon)).outputs).toEqual({ a: 2 });
  const keyed = await start({ n: 3 }, { idempotency_key: 'once' });
  expect(await start({ n: 3 }, { idempotency_key: 'once' })).toBe(keyed);
  await expect(start({ n: 4 }, { idempotency_key: 'once' })).rejects.toThrow('was used before');
  await client.query('begin');
  const never = await start({ n: 5 }, { idempotency_key: 'never', start_after: '1h' });
  await client.query('rollback');
  expect((await engine.request('GET', `/api/v1/execution/status?execution_id=${never}`)).status).toBe(404);
  await engine.end(keyed);
});

test('it reads and writes nothing by itself, and gives its right to nobody', async () => {
  for (const statement of [
    'select from public.workflow_executions',
    'select from public.workflow_templates',
    'insert into public.workflow_executions (workflow_template_id) values (gen_random_uuid())',
    'select from pgboss.job',
    `select public.grant_execution_engine('${stranger}')`,
  ])
    await expect(client.query(statement)).rejects.toMatchObject({ code: '42501' });
});

test('a role that was not given the right is refused', async () => {
  const other = await connect(stranger);
  const starting = other.query('select public.workflow_start($1)', [template]);
  await expect(starting).rejects.toThrow('permission denied for function workflow_start');
});

test('tables, functions and operators of the caller are not used', async () => {
  await client.query(`
    create temp table workflow_templates as select null::uuid as id;
    create temp table workflow_executions as select null::uuid as id;
    create function elsewhere.length(text) returns integer language sql as 'select 1 / 0';
    create function elsewhere.execution_engine_uuidv7() returns uuid language sql as 'select null::uuid';
    create function elsewhere.looked(text, text) returns boolean language plpgsql as
      'begin raise exception ''looked at %'', current_user; end';
    create operator elsewhere.~ (leftarg = text, rightarg = text, function = elsewhere.looked);
    create operator elsewhere.= (leftarg = text, rightarg = text, function = elsewhere.looked);
    set search_path = pg_temp, elsewhere, pg_catalog`);
  const id = await start({ n: 6 }, { idempotency_key: 'guarded', tags: ['x'], start_after: '0s' });
  expect((await engine.end(id)).outputs).toEqual({ a: 6 });
  await client.query('discard temp; set search_path = elsewhere');
});

test('two starts with one key, of which one cannot see the other, are told apart', async () => {
  await client.query('begin isolation level repeatable read; select 1');
  await database.pool.query(`select workflow_start($1, '{"n": 7}', '{"idempotency_key": "unseen"}')`, [
    template,
  ]);
  await expect(start({ n: 7 }, { idempotency_key: 'unseen' })).rejects.toMatchObject({ code: '40001' });
  await client.query('rollback');
  expect(await start({ n: 7 }, { idempotency_key: 'unseen' })).toBeString();
});

test('a role that could insert executions before may call it after an upgrade', async () => {
  await database.pool.query(`
    grant usage on schema public to ${stranger};
    grant insert on workflow_executions to ${stranger};
    delete from execution_engine_migrations where name like '0008%'`);
  await fixture.engine({ name: 'second' });
  const other = await connect(stranger);
  const { rows } = await other.query(`select public.workflow_start($1, '{"n": 8}') as id`, [template]);
  expect((await engine.end(rows[0].id)).outputs).toEqual({ a: 8 });
});
