/**
 * Executions whose time is over are removed with all their rows, and nothing else is, whatever happens meanwhile.
 *
 * "Old" is what the tests write into the rows of executions that an engine has run; sweeps are made by the public
 * function, with pauses that the tests use to look in between.
 */
import { expect, test } from 'bun:test';
import { randomUUID } from 'node:crypto';
import type { JsonObject } from '../../../core/json/json.ts';
import { createPool, type Pool, withTransaction } from '../../../db/connection/client.ts';
import { routeTo } from '../../../db/connection/features.ts';
import { beginSweep, markDue } from '../../../db/retention.ts';
import { Retention, type RetentionOptions } from '../../../maintenance/retention.ts';
import { sized } from '../../support/core/size.ts';
import type { EngineDatabase, TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { assertInvariants } from '../../support/invariants.ts';
import { fanIn } from '../../support/wide-definition.ts';

const DAY_MS = 24 * 3_600_000;
const CHAIN: JsonObject = {
  steps: {
    a: { type: 'record' },
    b: { type: 'record', needs: ['a'], concurrency: { key: 'k', limit: 5 } },
    c: { type: 'flaky', needs: ['a'], with: { failures: 9, retryable: false } },
    d: { type: 'record', needs: ['b', { step: 'c', on: 'always' }] },
  },
};

let database: EngineDatabase;
let engine: TestEngine;
const pools: Pool[] = [];

const fixture = fixtureForAll(
  async () => {
    database = await fixture.database();
    engine = await fixture.engine();
  },
  { atEnd: () => Promise.all(pools.map((pool) => pool.end().catch(() => {}))) },
);

/** A sweeper of its own, that waits for nothing. */
function sweeper(options: Partial<RetentionOptions> = {}): Retention & { name: string } {
  const name = `sweep/${randomUUID()}`;
  const pool = createPool(database.url, { max: 1, applicationName: name, byIndex: true });
  pools.push(pool);
  const retention = new Retention({
    route: routeTo(database.url),
    engineId: name,
    pool,
    jobTable: 'pgboss.job',
    retentionMs: 30 * DAY_MS,
    pause: async () => {},
    onRemoved: () => {},
    onUndeletable: (id) => {
      throw new Error(`${id} cannot be removed`);
    },
    onError: (error) => {
      throw error;
    },
    ...options,
  });
  return Object.assign(retention, { name });
}

/** As if everything about the executions had happened so many days earlier. */
async function age(ids: readonly string[], days: number): Promise<void> {
  for (const [table, column] of [
    ['workflow_executions', 'id'],
    ['workflow_step_executions', 'workflow_execution_id'],
  ]) {
    await database.pool.query(
      `update ${table} set created_at = created_at - $2 * interval '1 day', started_at = started_at - $2 * interval '1 day',
              completed_at = completed_at - $2 * interval '1 day', updated_at = updated_at - $2 * interval '1 day'
        where ${column} = any($1)`,
      [ids, days],
    );
  }
}

/** Gives executions the ids that they would have if they had been made so many days earlier; answers the new ones. */
async function rename(ids: readonly string[], days: number): Promise<string[]> {
  const { rows } = await database.pool.query(
    `with pairs as (
       select id as old, (lpad(to_hex((('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint - $2::bigint)), 12, '0')
                          || substr(replace(id::text, '-', ''), 13))::uuid as new
         from unnest($1::uuid[]) id),
     copied as (
       insert into workflow_executions
         (id, workflow_template_id, status, inputs, outputs, created_at, updated_at, completed_at, sequence, tags,
          idempotency_key, callback_url, started_at, error)
       select p.new, workflow_template_id, status, inputs, outputs, created_at, updated_at, completed_at, sequence, tags,
              idempotency_key || '-aged', callback_url, started_at, error
         from workflow_executions e join pairs p on p.old = e.id)
     select old, new from pairs`,
    [ids, days * DAY_MS],
  );
  for (const { old, new: renamed } of rows) {
    await database.pool.query(
      'update workflow_step_executions set workflow_execution_id = $2 where workflow_execution_id = $1',
      [old, renamed],
    );
    await database.pool.query('delete from workflow_executions where id = $1', [old]);
  }
  const byOld = new Map(rows.map((row) => [row.old, row.new]));
  return ids.map((id) => byOld.get(id)!);
}

/** Runs executions and makes them as old as that. */
async function old(definition: JsonObject, days: number, items: readonly JsonObject[] = [{}]) {
  const template = await engine.publish(definition);
  const ids: string[] = [];
  for (const item of items) ids.push(await engine.start(template, item));
  for (const id of ids) await engine.end(id);
  await age(ids, days);
  return rename(ids, days);
}

/** Rows that hang on executions. */
async function rowsOf(ids: readonly string[]): Promise<Record<string, number>> {
  const { rows } = await database.pool.query(
    `select (select count(*)::integer from workflow_executions where id = any($1)) as executions,
            (select count(*)::integer from workflow_step_executions where workflow_execution_id = any($1)) as steps,
            (select count(*)::integer from workflow_step_executions s join workflow_input_tracker i on i.step_execution_id = s.id
              where s.workflow_execution_id = any($1)) as edges`,
    [ids],
  );
  return rows[0];
}

/** Rows of steps and edges that belong to no execution. */
async function orphans(): Promise<number> {
  const { rows } = await database.pool.query(
    `select (select count(*) from workflow_step_executions s
              where not exists (select 1 from workflow_executions e where e.id = s.workflow_execution_id))
          + (select count(*) from workflow_input_tracker i
              where not exists (select 1 from workflow_step_executions s where s.id = i.step_execution_id))
          + (select count(*) from workflow_step_grants g
              where not exists (select 1 from workflow_step_executions s where s.id = g.step_execution_id)) as count`,
  );
  return Number(rows[0].count);
}

const GONE = { executions: 0, steps: 0, edges: 0 };

test('exactly the final executions of long ago are removed, with all their rows', async () => {
  const past = await old(CHAIN, 40, [{}, {}, { idempotency_key: 'key' }]);
  const fresh = await old(CHAIN, 20, [{}, {}]);
  const gated = await engine.publish({
    steps: { a: { type: 'record' }, wait: { type: 'gate', needs: ['a'], with: { name: 'g' } } },
  });
  const running = await engine.start(gated);
  await database.until('select count(*) = 1 from test_runs where execution_id = $1 and step = $2', [
    running,
    'wait',
  ]);
  await database.pool.query(
    `update workflow_executions set created_at = created_at - interval '90 days', started_at = started_at - interval '90 days' where id = $1`,
    [running],
  );
  // One that somebody else made, whose id says nothing about its time.
  const foreign = 'f0000000-0000-4000-8000-000000000001';
  await database.pool.query(
    `insert into workflow_executions (id, workflow_template_id, status, outputs, created_at, started_at, completed_at)
     select $1, id, 'cancelled', null, now() - interval '50 days', now() - interval '50 days', now() - interval '50 days'
       from workflow_templates limit 1`,
    [foreign],
  );
  const kept = await rowsOf([...fresh, running]);
  const removed: number[] = [];
  expect(await sweeper({ onRemoved: (count) => removed.push(count) }).sweep()).toBe(4);
  expect(removed).toEqual([3, 1]);
  expect(await rowsOf([...past, foreign])).toEqual(GONE);
  expect(await rowsOf([...fresh, running])).toEqual(kept);
  expect(await orphans()).toBe(0);
  expect((await engine.request('GET', `/api/v1/execution/status?execution_id=${past[0]}`)).status).toBe(404);
  expect(await sweeper().sweep()).toBe(0);

  await database.openGate('g');
  expect((await engine.end(running)).status).toBe('completed');
  await assertInvariants(database.url);
});

test('a key is free again when its execution is removed', async () => {
  const item = { template: await engine.publish(CHAIN), idempotency_key: 'again' };
  const first = await engine.client.start(item);
  await engine.end(first.execution_id);
  const [renamed] = await (async () => {
    await age([first.execution_id], 40);
    const aged = await rename([first.execution_id], 40);
    await database.pool.query(`update workflow_executions set idempotency_key = 'again' where id = any($1)`, [
      aged,
    ]);
    return aged;
  })();
  expect(await engine.client.start(item)).toMatchObject({ execution_id: renamed!, created: false });
  await sweeper().sweep();
  const second = await engine.client.start(item);
  expect(second.created).toBe(true);
  await engine.end(second.execution_id);
});

test('an execution whose end is still to be told stays until it is', async () => {
  const [id] = await old(CHAIN, 40);
  const job = randomUUID();
  await database.pool.query(
    `insert into pgboss.job (id, name, data, priority, start_after, keep_until, policy)
     values ($1, 'WorkflowExecutionQueue', $2, 1000000000, now() + interval '1 hour', now() + interval '10 years', 'standard')`,
    [job, { kind: 'callback', execution_id: id!, attempt: 3 }],
  );
  expect(await sweeper().sweep()).toBe(0);
  await database.pool.query('delete from pgboss.job where id = $1', [job]);
  expect(await sweeper().sweep()).toBe(1);
  expect(await rowsOf([id!])).toEqual(GONE);
});

test('a wide execution goes in many transactions, and for every reader at once', async () => {
  const [id] = await old(fanIn(sized(2_500, 6_000), 'noop', {}, { type: 'noop' }), 40);
  const total = await rowsOf([id!]);
  const seen: { status: number; listed: boolean; rows: Record<string, number> }[] = [];
  const look = async () => {
    const { status } = await engine.request('GET', `/api/v1/execution/status?execution_id=${id}`);
    const { body } = await engine.request('GET', `/admin/executions?q=${id}`);
    seen.push({ status, listed: (body.data as unknown[]).length > 0, rows: await rowsOf([id!]) });
    await assertInvariants(database.url);
  };
  expect(await sweeper({ pause: look }).sweep()).toBe(1);
  expect(await rowsOf([id!])).toEqual(GONE);
  expect(seen.every(({ status, listed }) => status === 404 && !listed)).toBe(true);
  const steps = seen.map(({ rows }) => rows.steps!);
  const edges = seen.map(({ rows }) => rows.edges!);
  for (const [counts, whole, most] of [
    [steps, total.steps!, 2_000],
    [edges, total.edges!, 5_000],
  ] as const) {
    const drops = counts.map((count, at) => (at === 0 ? whole : counts[at - 1]!) - count);
    expect(Math.max(...drops)).toBeLessThanOrEqual(most);
    expect(drops.filter((drop) => drop > 0).length).toBe(Math.ceil(whole / most));
  }
});

test('scopes, items and signals of which there are many go in many transactions too', async () => {
  const [id] = await old({ steps: { a: { type: 'noop' } } }, 40);
  const { pool } = database;
  const made = 12_000;
  const holder =
    'select id, workflow_execution_id from workflow_step_executions where workflow_execution_id = $1';
  await pool.query(
    `insert into workflow_scopes (step_execution_id, index, workflow_execution_id, run, path, status, sequence, completed_at)
     select h.id, n, h.workflow_execution_id, 1, 'a[' || n || ']', 'completed', 1, now()
       from (${holder}) h, generate_series(0, ${made - 1}) n`,
    [id],
  );
  await pool.query(
    `insert into workflow_scope_items (step_execution_id, first_index, items)
     select h.id, n, '[null]' from (${holder}) h, generate_series(0, ${made - 1}) n`,
    [id],
  );
  await pool.query(
    `insert into workflow_signals (workflow_execution_id, name, payload_hash, used_at)
     select $1, 'paid', '', now() from generate_series(1, ${made})`,
    [id],
  );
  const counts: number[][] = [];
  const look = async () => {
    const { rows } = await pool.query(
      `select (select count(*) from workflow_scopes)::integer as scopes,
              (select count(*) from workflow_scope_items)::integer as items,
              (select count(*) from workflow_signals)::integer as signals`,
    );
    counts.push([rows[0].scopes, rows[0].items, rows[0].signals]);
  };
  expect(await sweeper({ pause: look }).sweep()).toBe(1);
  for (const column of [0, 1, 2]) {
    const drops = counts.map((row, at) => (counts[at - 1]?.[column] ?? made) - row[column]!);
    expect(drops.filter((drop) => drop > 0)).toEqual([5_000, 5_000, 2_000]);
  }
  expect(await orphans()).toBe(0);
});

test('an execution that a table of somebody else refers to is left, hidden, and keeps no other from being removed', async () => {
  const ids = await old(CHAIN, 40, [{}, {}, {}, {}, {}]);
  const referred = ids[2]!;
  await database.pool.query(
    'create table orders (execution_id uuid references workflow_executions (id)); create index on orders (execution_id)',
  );
  await database.pool.query('insert into orders values ($1)', [referred]);
  const left: string[] = [];
  const retention = sweeper({ onUndeletable: (id) => left.push(id) });
  expect(await retention.sweep()).toBe(4);
  expect(left).toEqual([referred]);
  expect((await rowsOf(ids)).executions).toBe(1);
  expect((await engine.request('GET', `/api/v1/execution/status?execution_id=${referred}`)).status).toBe(404);
  const more = await old(CHAIN, 40);
  expect(await retention.sweep()).toBe(1);
  expect((await rowsOf(more)).executions).toBe(0);
  expect(left).toEqual([referred]);
  await database.pool.query('drop table orders');
  expect(await sweeper().sweep()).toBe(1);
  expect(await rowsOf(ids)).toEqual(GONE);
});

test('a sweep that is killed in the middle is carried on by the next one, and starts succeed meanwhile', async () => {
  const ids = await old(
    CHAIN,
    40,
    Array.from({ length: 12 }, () => ({})),
  );
  const wide = await old(fanIn(3_000, 'noop', {}, { type: 'noop' }), 40);
  const template = await engine.publish(CHAIN);
  const started: string[] = [];
  // The session is ended after ever more transactions, until one sweep comes through.
  for (let survived = 1; ; survived += 1) {
    let transactions = 0;
    const killed: Retention & { name: string } = sweeper({
      pause: async () => {
        transactions += 1;
        started.push(await engine.start(template));
        if (transactions !== survived) return;
        await database.pool.query(
          'select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1',
          [killed.name],
        );
      },
    });
    const count = await killed.sweep().catch(() => null);
    if (count !== null && transactions < survived) break;
    await assertInvariants(database.url, { allFinal: false });
  }
  expect(await rowsOf([...ids, ...wide])).toEqual(GONE);
  expect(await orphans()).toBe(0);
  for (const id of started) expect((await engine.end(id)).status).toBe('completed');
  expect((await rowsOf(started)).executions).toBe(started.length);
  await assertInvariants(database.url);
});

test('of two sweepers one sweeps, and the other finds nothing to do', async () => {
  const ids = await old(CHAIN, 40, [{}, {}, {}]);
  const holder = await database.pool.connect();
  try {
    await holder.query('begin');
    await holder.query('select pg_advisory_xact_lock(1163413830, 1)');
    expect(await sweeper().sweep()).toBe(0);
    expect((await rowsOf(ids)).executions).toBe(3);
  } finally {
    await holder.query('rollback');
    holder.release();
  }
  const counts = await Promise.all([sweeper().sweep(), sweeper().sweep()]);
  await sweeper().sweep();
  expect(counts[0]! + counts[1]!).toBeLessThanOrEqual(3);
  expect(await rowsOf(ids)).toEqual(GONE);
});

test('an engine that is told how long to keep executions sweeps by itself and counts what it removed', async () => {
  const ids = await old(CHAIN, 40, [{}, {}]);
  const config = { EXECUTION_ENGINE_RETENTION: '30d' };
  const other = await fixture.engine({ name: 'keeper', config });
  await other.metricReaches('execution_engine_executions_removed_total', 2);
  expect(await rowsOf(ids)).toEqual(GONE);
});

/** Of some executions, those that a sweep would mark now, if the time of retention were nothing. */
async function due(after: string, ids: readonly string[]): Promise<string[]> {
  let marked: readonly string[] = [];
  const undone = new Error('Nothing is to be marked.');
  await withTransaction(database.pool, async (tx) => {
    const sweep = await beginSweep(tx, 0, 'pgboss.job');
    ({ ids: marked } = await markDue(tx, sweep, after, 'ffffffff-ffff-ffff-ffff-ffffffffffff'));
    throw undone;
  }).catch((error) => {
    if (error !== undone) throw error;
  });
  return ids.filter((id) => marked.includes(id));
}

test('a child stays as long as its parent and the root of its tree are open', async () => {
  const { execution_id: before } = await engine.run({ steps: { one: { type: 'noop' } } });
  const leaf = await engine.publish({ steps: { one: { type: 'noop' } } });
  const calling = (name: string): JsonObject => ({ call: { type: 'workflow', with: { name } } });
  const middle = await engine.publish({ steps: calling(leaf) });
  const long = { type: 'delay', needs: ['call'], with: { for: '1h' } };
  const root = await engine.start(await engine.publish({ steps: { ...calling(middle), long } }));
  await database.until(
    `select count(*) = 2 from workflow_executions where root_execution_id = $1 and status = 'completed'`,
    [root],
  );
  const { rows } = await database.pool.query(
    'select id from workflow_executions where root_execution_id = $1 order by id',
    [root],
  );
  const tree = [root, ...rows.map(({ id }) => id)];
  expect(await due(before, tree)).toEqual([]);
  await engine.client.cancel(root);
  await engine.end(root);
  expect(await due(before, tree)).toEqual(tree);
});
