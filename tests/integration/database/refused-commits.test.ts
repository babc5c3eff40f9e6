/**
 * Commits that the database refuses, or whose answer never comes: each is settled by reading and applied once, and
 * what no commit can hold fails its own step alone.
 *
 * A trigger refuses, with the SQLSTATE that the test says; the answers are eaten on the wire.
 */
import { expect, test } from 'bun:test';
import { chance } from '../../../chaos/chance.ts';
import { PostgresProxy } from '../../../chaos/stage/proxy.ts';
import type { JsonObject } from '../../../core/json/json.ts';
import { type EngineDatabase, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';

const TIMES = 4;
const UNSTORABLE = 'what the database does not take';

let database: EngineDatabase;
let proxy: PostgresProxy;
let engine: TestEngine;

fixtureForAll(async (fixture) => {
  database = await fixture.database();
  await database.pool.query(`
    create table planted (code text, place text);
    create sequence refusals;
    create function refuse() returns trigger language plpgsql as $$
    declare planted_code text := (select code from planted where place = tg_argv[0]);
    begin
      if tg_argv[0] = 'output' then
        raise exception 'planted' using errcode = '22P05';
      elsif planted_code is not null and nextval('refusals') <= ${TIMES} then
        if tg_argv[0] = 'job' then
          return null;
        end if;
        raise exception 'planted' using errcode = planted_code;
      end if;
      return new;
    end $$;
    create trigger refuse_start before insert on workflow_executions
      for each row execute function refuse('start');
    create trigger refuse_completion before update on workflow_step_executions
      for each row when (new.status = 'completed') execute function refuse('completion');
    create trigger refuse_end before update on workflow_executions
      for each row when (new.status = 'completed') execute function refuse('end');
    create trigger refuse_outputs before update on workflow_executions
      for each row when (new.outputs::text = '"${UNSTORABLE}"') execute function refuse('output');
    create trigger refuse_output before update on workflow_step_executions
      for each row when (new.outputs::text = '"${UNSTORABLE}"') execute function refuse('output');`);
  const url = new URL(database.url);
  const port = Number(url.port);
  const listening = PostgresProxy.listen(() => port, chance(4, 'eaten answers'));
  proxy = await fixture.use(listening, (made) => made.close());
  url.hostname = '127.0.0.1';
  url.port = String(proxy.port);
  engine = await fixture.engine({ url: url.href, recordsUrl: database.url });
  await database.pool.query(`
    create trigger drop_job before insert on pgboss.job
      for each row when (new.data ->> 'kind' is distinct from 'start') execute function refuse('job')`);
});

/** The next commits of this kind are refused. */
async function refuse(place: 'start' | 'completion' | 'job' | 'end', code: string): Promise<void> {
  await database.pool.query(`alter sequence refusals restart`);
  await database.pool.query('delete from planted');
  await database.pool.query('insert into planted values ($1, $2)', [code, place]);
}

async function refusals(): Promise<number> {
  const { rows } = await database.pool.query('select last_value::integer as count from refusals');
  await database.pool.query('delete from planted');
  return rows[0].count;
}

const CHAIN = {
  steps: { a: { type: 'record' }, b: { type: 'record', needs: ['a'] } },
};

test.each([
  ['40P01', 'a deadlock'],
  ['40001', 'a serialization failure'],
  ['40003', 'a statement of which nobody knows whether it was completed'],
  ['57014', 'a statement timeout'],
  ['55P03', 'a lock timeout'],
  ['53100', 'a full disc'],
  ['53200', 'no memory'],
  ['57P01', 'a shutdown'],
])('a commit that is refused with %s, %s, is made again and applied once', async (code) => {
  await refuse('completion', code);
  const end = await engine.run(CHAIN);
  expect(await refusals()).toBeGreaterThan(TIMES);
  expect(end.status).toBe('completed');
  expect((end.steps ?? []).map(({ attempt_count }) => attempt_count)).toEqual([1, 1]);
  expect((await database.runs(end.execution_id)).length).toBe(2);

  await refuse('start', code);
  const template = await engine.publish(CHAIN);
  const first = await engine.startAtLast({ template, idempotency_key: `refused-with-${code}` });
  expect(await engine.startAtLast({ template, idempotency_key: `refused-with-${code}` })).toBe(first);
  expect(await refusals()).toBeGreaterThan(TIMES);
  expect((await engine.end(first)).status).toBe('completed');
});

test('a job that is dropped without a word takes its commit along, which is made again', async () => {
  await refuse('job', 'dropped');
  const end = await engine.run({
    steps: { a: { type: 'parks', with: { ms: 1 } }, b: { type: 'record', needs: ['a'] } },
  });
  expect(await refusals()).toBeGreaterThan(TIMES);
  expect(end).toMatchObject({ status: 'completed', outputs: { b: null } });
  expect(stepOf(end, 'a').attempt_count).toBe(1);
});

test('an output that the database refuses fails its own step, whatever was in the commit with it', async () => {
  const definition = (value: string) => ({
    onFailure: 'continue',
    steps: {
      first: { type: 'barrier', with: { place: 'together', count: 40 } },
      second: { type: 'record', needs: ['first'], with: { value } },
    },
  });
  const good = await engine.publish(definition('taken'));
  const bad = await engine.publish(definition(UNSTORABLE));
  const ids = await Promise.all(
    Array.from({ length: 40 }, (_, at) => engine.start(at % 20 === 7 ? bad : good)),
  );
  for (const [at, id] of ids.entries()) {
    const end = await engine.end(id);
    const second = stepOf(end, 'second');
    expect(second.attempt_count).toBe(1);
    if (at % 20 !== 7) expect(end.status).toBe('completed');
    else {
      expect(second.error).toMatchObject({ code: 'output_not_storable' });
      expect(second.error?.message).toContain('The database refused the output: planted');
    }
  }
});

test('of the outputs of one execution it fails the one that is refused', async () => {
  const wide = Object.fromEntries(
    Array.from({ length: 40 }, (_, at) => [
      `s${at}`,
      {
        type: 'transform',
        needs: ['first'],
        with: { value: at === 23 ? UNSTORABLE : at },
      },
    ]),
  );
  const end = await engine.run({ onFailure: 'continue', steps: { first: { type: 'noop' }, ...wide } });
  const failed = end.steps.filter(({ status }) => status !== 'completed');
  expect(failed).toMatchObject([{ key: 's23', error: { code: 'output_not_storable' } }]);
});

/** A function is evaluated beside the engine: what it gives comes later than the end it belongs to. */
const later = (value: string) => `\${{ (() => '${value}')() }}`;

test('an end whose output took time and that is refused for a while is made again with it', async () => {
  await refuse('end', '53100');
  const end = await engine.run({ steps: { a: { type: 'record' } }, output: later('taken') });
  expect(await refusals()).toBeGreaterThan(TIMES);
  expect(end).toMatchObject({ status: 'completed', outputs: 'taken' });
  expect(stepOf(end, 'a').attempt_count).toBe(1);
});

test('an output of an execution that took time and that the database refuses fails the step that ended it', async () => {
  const end = await engine.run({
    onFailure: 'continue',
    steps: { a: { type: 'record' }, b: { type: 'record', needs: ['a'] } },
    output: later(UNSTORABLE),
  });
  expect(end.status).toBe('failed');
  expect(stepOf(end, 'b')).toMatchObject({ attempt_count: 1, error: { code: 'output_not_storable' } });
});

/** Every kind of transition: claims, completions, a retry, parking, a skip, a failure, a fan-in, an end. */
const MIXED: JsonObject = {
  steps: {
    a: { type: 'record' },
    f: { type: 'flaky', needs: ['a'], with: { failures: 1 }, retry: { limit: 1, delay: '1ms' } },
    p: { type: 'parks', needs: ['a'], with: { ms: 1 } },
    s: { type: 'record', needs: ['a'], when: '${{ false }}' },
    x: { type: 'flaky', needs: ['a'], with: { failures: 9, retryable: false } },
    h: { type: 'record', needs: [{ step: 'x', on: 'failure' }] },
    join: { type: 'record', needs: ['f', 'p', 's', 'h'] },
  },
};
/** Commits whose answer was lost. */
const MIN_EATEN = 5;
const RUNS = { a: 1, f: 2, p: 2, x: 1, h: 1, join: 1 };

test('a commit whose answer is eaten is settled by reading: every transition is applied once', async () => {
  const template = await engine.publish(MIXED);
  proxy.faults.eat = 0.5;
  const keyed = Promise.all(
    Array.from({ length: 10 }, (_, at) => engine.startAtLast({ template, idempotency_key: `eaten-${at}` })),
  );
  // Without a key nobody can ask again: the engine settles by itself whether it was started.
  const others: string[] = [];
  // Until enough were lost: how many starts share a commit is for the machine to say.
  while (others.length < 10 || proxy.counts.eaten <= MIN_EATEN) others.push(await engine.start(template));
  const ids = [...(await keyed), ...others];
  await database.until(
    `select count(*) = $2 and bool_and(e.status = 'completed')
       from workflow_executions e join workflow_templates t on t.id = e.workflow_template_id where t.name = $1`,
    [template, ids.length],
  );
  proxy.faults.eat = 0;
  expect(new Set(ids).size).toBe(ids.length);
  for (const id of ids) {
    expect((await engine.end(id)).status).toBe('completed');
    const runs = Object.groupBy(await database.runs(id), ({ step }) => step);
    expect(Object.fromEntries(Object.entries(runs).map(([step, rows]) => [step, rows!.length]))).toEqual(
      RUNS,
    );
  }
});
