/**
 * What somebody wrote into the tables by hand, or what the database refuses, keeps nobody from the rest.
 */
import { expect, test } from 'bun:test';
import { randomUUID } from 'node:crypto';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { fixtureForEach } from '../../support/fixture.ts';

let database: EngineDatabase;
let engine: TestEngine;

const fixture = fixtureForEach(async () => {
  database = await fixture.database();
  engine = await fixture.engine();
});

const CHAIN = { steps: { a: { type: 'noop' }, b: { type: 'record', needs: ['a'] } } };
const PARKED = {
  steps: { pause: { type: 'delay', with: { for: '1h' } }, b: { type: 'record', needs: ['pause'] } },
};

async function startBySql(template: string): Promise<string> {
  const { rows } = await database.pool.query(`select workflow_start($1, '{}') as id`, [template]);
  return rows[0].id;
}

async function insertJob(data: unknown): Promise<void> {
  await database.pool.query(
    `insert into pgboss.job (id, name, data, priority, policy) values ($1, 'WorkflowExecutionQueue', $2, 2000000000, 'standard')`,
    [randomUUID(), JSON.stringify(data)],
  );
}

const onTemplate = (change: string, template: string) =>
  database.pool.query(`update workflow_templates set ${change} where name = $1`, [template]);

const onStep = (change: string, key: string, template: string) =>
  database.pool.query(
    `update workflow_step_templates ${change}
      where key = $1 and workflow_template_id = (select id from workflow_templates where name = $2)`,
    [key, template],
  );

interface Odd {
  /** Makes it odd, of one execution that lines up and one whose timer is due. */
  plant(template: string, waiting: string): Promise<unknown>;
  /** Puts it right. */
  mend(template: string, waiting: string): Promise<unknown>;
}

const removeStrangers = () =>
  database.pool.query(
    `delete from pgboss.job where data is null or data = 'null' or not data ? 'execution_id' or data ->> 'kind' = 'of a newer version' or data ->> 'execution_id' = 'none'`,
  );

const ODD: readonly (readonly [string, Odd])[] = [
  [
    'a job of a kind that is not known, of an execution that is there',
    {
      plant: (_, waiting) => insertJob({ kind: 'of a newer version', execution_id: waiting }),
      mend: removeStrangers,
    },
  ],
  ['a job without data', { plant: () => insertJob(null), mend: removeStrangers }],
  [
    'a job of an execution whose id is none',
    { plant: () => insertJob({ kind: 'deadline', execution_id: 'none' }), mend: removeStrangers },
  ],
  [
    'a definition that is no JSON',
    {
      plant: (template) =>
        onTemplate(`description = definition_source, definition_source = 'steps:'`, template),
      mend: (template) => onTemplate(`definition_source = description, description = null`, template),
    },
  ],
  [
    'a template that is published no more',
    {
      plant: (template) => onTemplate(`description = definition_source, definition_source = null`, template),
      mend: (template) => onTemplate(`definition_source = description, description = null`, template),
    },
  ],
  [
    'a step whose row has another key',
    {
      plant: (template) => onStep(`set key = 'was b'`, 'b', template),
      mend: (template) => onStep(`set key = 'b'`, 'was b', template),
    },
  ],
];

/** Executions of a template of their own, in which one thing is odd. */
interface Held {
  readonly what: string;
  readonly odd: Odd;
  readonly template: string;
  readonly waiting: string;
  pending: string;
}

async function hold(what: string, odd: Odd): Promise<Held> {
  const template = await engine.publish(PARKED);
  const waiting = await engine.start(template);
  await database.until(
    `select status = 'waiting' from workflow_step_executions where workflow_execution_id = $1`,
    [waiting],
  );
  return { what, odd, template, waiting, pending: '' };
}

test('what is odd leaves its own executions waiting, and no other, until it is put right', async () => {
  const held = await Promise.all(ODD.map(([what, odd]) => hold(what, odd)));
  await engine.stop();
  for (const each of held) {
    each.pending = await startBySql(each.template);
    await each.odd.plant(each.template, each.waiting);
  }
  await database.pool.query('update pgboss.job set start_after = now()');

  engine = await fixture.engine();
  const healthy = await engine.publish({ ...CHAIN, name: `healthy-${randomUUID()}` });
  for (let at = 0; at < 3; at += 1) {
    const id = await startBySql(healthy);
    expect((await engine.end(id)).status).toBe('completed');
  }
  const late = await engine.start(healthy, { start_after: '10ms' });
  expect((await engine.end(late)).status).toBe('completed');

  await engine.stop();
  for (const { odd, template, waiting } of held) await odd.mend(template, waiting);
  await database.pool.query('update pgboss.job set start_after = now()');
  engine = await fixture.engine();
  for (const { pending } of held)
    await database.until(
      `select coalesce(bool_or(status in ('waiting', 'completed')), false)
         from workflow_step_executions where workflow_execution_id = $1`,
      [pending],
    );
  await database.pool.query('update pgboss.job set start_after = now()');
  for (const { what, waiting, pending } of held)
    for (const id of [waiting, pending])
      expect({ what, status: (await engine.end(id)).status }).toEqual({ what, status: 'completed' });
});

test('an execution of whose begin the database wants nothing keeps no other from beginning', async () => {
  await database.pool.query(`
    create function refuse_begin() returns trigger language plpgsql as $$
    begin
      if new.tags @> array['refused'] and new.status = 'running' then raise exception 'planted'; end if;
      return new;
    end $$;
    create trigger refuse_begin before update on workflow_executions for each row execute function refuse_begin()`);
  const template = await engine.publish(CHAIN);
  const { rows } = await database.pool.query(
    `select workflow_start($1, '{}', case when n in (3, 17) then '{"tags":["refused"]}' else '{}' end::jsonb) as id, n
       from generate_series(1, 30) n order by n`,
    [template],
  );
  const refused = rows.filter(({ n }) => n === 3 || n === 17).map(({ id }) => id);
  for (const { id } of rows)
    if (!refused.includes(id)) expect((await engine.end(id)).status).toBe('completed');
  const { rows: left } = await database.pool.query(
    `select id from workflow_executions where status = 'pending' order by id`,
  );
  expect(left.map(({ id }) => id)).toEqual(refused.toSorted());
  await database.pool.query('drop trigger refuse_begin on workflow_executions');
  await engine.stop();
  engine = await fixture.engine();
  for (const id of refused) expect((await engine.end(id)).status).toBe('completed');
});

test('a step row that somebody else has locked keeps those from nothing that end at the same moment', async () => {
  const definition = { steps: { a: { type: 'barrier', with: { place: 'together', count: 4 } } } };
  const template = await engine.publish(definition);
  const client = await database.pool.connect();
  try {
    const ids = await Promise.all(Array.from({ length: 3 }, () => engine.start(template)));
    await database.until('select count(*) = 3 from test_runs');
    await client.query('begin');
    await client.query('select 1 from workflow_step_executions where workflow_execution_id = $1 for update', [
      ids[0],
    ]);
    const last = await engine.start(template);
    for (const id of [...ids.slice(1), last]) expect((await engine.end(id)).status).toBe('completed');
    expect((await engine.client.status(ids[0]!)).status).toBe('running');
    await client.query('rollback');
    expect((await engine.end(ids[0]!)).status).toBe('completed');
  } finally {
    client.release();
  }
});
