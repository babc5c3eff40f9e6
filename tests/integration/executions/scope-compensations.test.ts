/**
 * Compensations inside scopes, over HTTP with real handlers: what completed in the items of a foreach is undone in its place
 * before the execution is final.
 */
import { expect, test } from 'bun:test';
import type { JsonObject } from '../../../core/json/json.ts';
import { type EngineDatabase, stepOf, type TestEngine } from '../../support/engine.ts';
import { type Fixture, fixtureForAll } from '../../support/fixture.ts';
import { assertInvariants } from '../../support/invariants.ts';

let database: EngineDatabase;
let engine: TestEngine;
let fixture: Fixture;

fixture = fixtureForAll(async (own) => {
  database = await own.database();
  engine = await own.engine({ config: { EXECUTION_ENGINE_STOP_GRACE: '2m' } });
});

const undo = (more: JsonObject = {}): JsonObject => ({ type: 'record', ...more });
const done = (value: unknown, more: JsonObject = {}): JsonObject => ({
  type: 'record',
  with: { value: value as string },
  compensateWith: undo(),
  ...more,
});
const fails = (needs: string[]): JsonObject => ({
  type: 'fail',
  needs,
  with: { code: 'no_stock', message: 'There is none.' },
});
const foreach = (items: unknown, steps: JsonObject, more: JsonObject = {}): JsonObject => ({
  type: 'foreach',
  with: { items: items as string, concurrency: 1, steps, ...more },
});

interface Undone {
  readonly step: string;
  readonly scope: string;
  readonly outputs: unknown;
}

/** The compensations of an execution in the order in which they ended, by key and scope. */
async function undone(id: string): Promise<Undone[]> {
  const { rows } = await database.pool.query(
    `select t.key, s.scope, s.outputs from workflow_step_executions s join workflow_step_templates t on t.id = s.step_template_id
      where s.workflow_execution_id = $1 and t.key like '%~compensation' and s.status = 'completed'
      order by s.completed_at, s.id`,
    [id],
  );
  return rows.map(({ key, scope, outputs }) => ({
    step: key.split('/').at(-1).split('~')[0],
    scope,
    outputs,
  }));
}

const names = (list: readonly Undone[]) =>
  list.map(({ step, scope }) => (scope === '' ? step : `${scope}/${step}`));
const isRunning = (id: string, step: string) =>
  database.until('select true from test_runs where execution_id = $1 and step = $2', [id, step]);

test('scopes are undone in the place of their holder, the last item first, each in reverse', async () => {
  const end = await engine.run({
    steps: {
      before: done('before'),
      each: {
        ...foreach(['x', 'y'], {
          reserve: done('${{ item }}', {
            compensateWith: undo({
              with: {
                value: {
                  of: '${{ compensates }}',
                  at: '${{ index }}',
                  item: '${{ item }}',
                  before: '${{ steps.before.output }}',
                },
              },
            }),
          }),
          charge: done('${{ item }}', {
            needs: ['reserve'],
            compensateWith: undo({ with: { value: '${{ [steps.reserve.output, inputs.reserve, index] }}' } }),
          }),
        }),
        needs: ['before'],
      },
      after: done('after', { needs: ['each'] }),
      ship: fails(['after']),
    },
  });
  expect(end).toMatchObject({ status: 'failed', error: { code: 'no_stock', step: 'ship' }, uncertain: [] });
  const list = await undone(end.execution_id);
  expect(names(list)).toEqual([
    'after',
    'each[1]/charge',
    'each[1]/reserve',
    'each[0]/charge',
    'each[0]/reserve',
    'before',
  ]);
  expect(list[1]!.outputs).toEqual(['y', 'y', 1]);
  expect(list[2]!.outputs).toEqual({ of: 'y', at: 1, item: 'y', before: 'before' });
  const scope = await engine.client.status(end.execution_id, { scope: 'each[1]' });
  const charge = stepOf(scope, 'charge');
  expect(charge.compensation).toMatchObject({ status: 'completed', attempt_count: 1 });
  expect((await engine.client.getStep(charge.id)).compensation).toEqual(charge.compensation!);
  expect(stepOf(end, 'each')).toMatchObject({
    status: 'completed',
    scopes: { total: 2, completed: 2, running: 0 },
  });
  await assertInvariants(database.url);
});

test('a holder with a compensation of its own is undone first, then its scopes, at every depth', async () => {
  const inner = foreach(2, { a: done('a') });
  const end = await engine.run({
    steps: {
      outer: { ...foreach(2, { b: done('b'), each: { ...inner, needs: ['b'] } }), compensateWith: undo() },
      ship: fails(['outer']),
    },
  });
  expect(end.status).toBe('failed');
  expect(names(await undone(end.execution_id))).toEqual([
    'outer',
    'outer[1]/each[1]/a',
    'outer[1]/each[0]/a',
    'outer[1]/b',
    'outer[0]/each[1]/a',
    'outer[0]/each[0]/a',
    'outer[0]/b',
  ]);
  await assertInvariants(database.url);
});

test('what is inside sixteen others is undone', async () => {
  const path = Array.from({ length: 16 }, (_, depth) => `each${15 - depth}[0]`).join('/');
  let steps: JsonObject = { deep: done('x') };
  for (let depth = 0; depth < 16; depth += 1) steps = { [`each${depth}`]: foreach(1, steps) };
  const end = await engine.run({ steps: { ...steps, ship: fails(['each15']) } });
  expect(end.status).toBe('failed');
  expect(names(await undone(end.execution_id))).toEqual([`${path}/deep`]);
  await assertInvariants(database.url);
});

test('items of a holder that failed are undone, also what completed in the failed one; tolerated failures too', async () => {
  const steps = {
    reserve: done('${{ item }}'),
    charge: { type: 'record', needs: ['reserve'], when: '${{ item != 2 }}' },
    declined: { type: 'fail', needs: ['reserve'], when: '${{ item == 2 }}', with: { message: 'declined' } },
  };
  const stopped = await engine.run({ steps: { each: foreach([1, 2, 3], steps) } });
  expect(stopped).toMatchObject({ status: 'failed', error: { step: 'each' } });
  expect(names(await undone(stopped.execution_id))).toEqual(['each[1]/reserve', 'each[0]/reserve']);
  const tolerated = await engine.run({
    steps: { each: foreach([1, 2, 3], steps, { onItemFailure: 'continue' }), ship: fails(['each']) },
  });
  expect(stepOf(tolerated, 'each')).toMatchObject({ status: 'completed', scopes: { failed: 1 } });
  expect(names(await undone(tolerated.execution_id))).toEqual([
    'each[2]/reserve',
    'each[1]/reserve',
    'each[0]/reserve',
  ]);
  await assertInvariants(database.url);
});

test('items whose compensation fails for good are named, also while others are undone', async () => {
  const broken = { type: 'flaky', with: { failures: '${{ item == "y" ? 9 : 0 }}', code: 'not_refunded' } };
  const id = await engine.start(
    await engine.publish({
      steps: {
        first: done('first', { compensateWith: { type: 'gate', with: { name: 'undo-first' } } }),
        each: {
          ...foreach(['x', 'y', 'z'], { charge: done('${{ item }}', { compensateWith: broken }) }),
          needs: ['first'],
        },
        ship: fails(['each']),
      },
    }),
  );
  await isRunning(id, 'first~compensation');
  const named = { uncertain: [], not_undone: ['each[1]/charge'] };
  expect(await engine.client.status(id)).toMatchObject({ status: 'compensating', ...named });
  await database.openGate('undo-first');
  expect(await engine.end(id)).toMatchObject({ status: 'failed', ...named });
  const scope = await engine.client.status(id, { scope: 'each[1]' });
  expect(stepOf(scope, 'charge').compensation).toMatchObject({ error: { code: 'not_refunded' } });
});

test('the iterations of a loop are undone one after the other, and see the one before', async () => {
  const again = done('${{ iteration }}', {
    compensateWith: undo({ with: { value: '${{ [iteration, previous, compensates] }}' } }),
  });
  const end = await engine.run({
    steps: {
      l: {
        type: 'loop',
        with: { while: '${{ iteration < 3 }}', steps: { again }, output: '${{ iteration }}' },
      },
      ship: fails(['l']),
    },
  });
  expect((await undone(end.execution_id)).map(({ outputs }) => outputs)).toEqual([
    [2, 1, 2],
    [1, 0, 1],
    [0, null, 0],
  ]);
});

test.each(['a stop', 'a failure elsewhere', 'a timeout'])(
  '%s gives steps in scopes time to end: what completes so is undone, what gives no result is uncertain',
  async (what) => {
    const id = await engine.start(
      await engine.publish({
        timeout: '1h',
        steps: {
          each: foreach(
            [0, 1, 2],
            {
              begin: done('${{ item }}'),
              charge: {
                type: 'until-aborted',
                needs: ['begin'],
                when: '${{ item < 2 }}',
                with: { answer: '${{ item == 0 ? "charged" : undefined }}' },
                compensateWith: undo(),
              },
              wait: {
                type: 'delay',
                needs: ['begin'],
                when: '${{ item == 2 }}',
                with: { for: '2h' },
                compensateWith: undo(),
              },
            },
            { concurrency: 3 },
          ),
          gate: { type: 'gate', with: { name: `fail-${what}` } },
          fail: { type: 'fail', needs: ['gate'], with: { code: 'elsewhere', message: 'no' } },
        },
      }),
    );
    await database.until('select count(*) = 2 from test_runs where execution_id = $1 and step = $2', [
      id,
      'charge',
    ]);
    await database.until(
      `select count(*) = 1 from workflow_step_executions where workflow_execution_id = $1 and status = 'waiting' and scope <> ''`,
      [id],
    );
    if (what === 'a stop') await engine.client.stop(id, 'enough');
    if (what === 'a timeout')
      await database.pool.query(
        `update pgboss.job set start_after = now() where data ->> 'kind' = 'deadline' and data ->> 'execution_id' = $1`,
        [id],
      );
    if (what !== 'a failure elsewhere')
      await database.until('select status = $2 from workflow_executions where id = $1', [id, 'compensating']);
    await database.openGate(`fail-${what}`);
    const end = await engine.end(id);
    const status = what === 'a stop' ? 'cancelled' : what === 'a timeout' ? 'timed_out' : 'failed';
    expect(end).toMatchObject({ status, uncertain: ['each[2]/wait'] });
    const list = names(await undone(id));
    expect(list.slice(0, 1)).toEqual(expect.arrayContaining([expect.stringContaining('each[')]));
    expect([...list].sort()).toEqual(['each[0]/begin', 'each[0]/charge', 'each[1]/begin', 'each[2]/begin']);
    expect(list.indexOf('each[0]/charge')).toBeLessThan(list.indexOf('each[0]/begin'));
    await assertInvariants(database.url);
  },
);

test('scopes in which nothing runs are undone in their turn at once, and those that hear no signal after the grace time', async () => {
  const id = await engine.start(
    await engine.publish({
      steps: {
        parked: foreach(2, {
          begin: done('${{ item }}'),
          wait: { type: 'delay', needs: ['begin'], with: { for: '2h' } },
        }),
        held: foreach(1, {
          begin: done('${{ item }}'),
          deaf: { type: 'deaf', needs: ['begin'], with: { name: 'deaf-scope' }, compensateWith: undo() },
        }),
      },
    }),
  );
  await isRunning(id, 'deaf');
  await database.until(
    `select count(*) = 1 from workflow_step_executions where workflow_execution_id = $1 and status = 'waiting' and scope = 'parked[0]'`,
    [id],
  );
  expect(await engine.client.stop(id)).toMatchObject({ status: 'compensating' });
  const { steps } = await engine.client.status(id);
  expect(steps.map(({ status }) => status)).toEqual(['cancelled', 'waiting']);
  await database.pool.query(
    `update pgboss.job set start_after = now() where data ->> 'kind' = 'stop_overdue' and data ->> 'execution_id' = $1`,
    [id],
  );
  const end = await engine.end(id);
  expect(end).toMatchObject({ status: 'cancelled', uncertain: ['held[0]/deaf'] });
  expect(names(await undone(id))).toEqual(['held[0]/begin', 'parked[0]/begin']);
  await database.openGate('deaf-scope');
  await assertInvariants(database.url);
});

test('a cancel while scopes are undone ends it at once, and scopes keep the status that they had', async () => {
  const id = await engine.start(
    await engine.publish({
      steps: {
        outer: foreach(2, {
          each: foreach(
            3,
            { a: done('a', { compensateWith: { type: 'until-aborted' } }) },
            { concurrency: 2 },
          ),
        }),
        c: fails(['outer']),
      },
    }),
  );
  await database.until('select count(*) = 2 from test_runs where execution_id = $1 and step = $2', [
    id,
    'a~compensation',
  ]);
  await assertInvariants(database.url, { allFinal: false });
  expect((await engine.client.status(id)).not_undone).toEqual([]);
  expect(await engine.client.cancel(id, 'leave it')).toMatchObject({ status: 'cancelled' });
  const end = await engine.end(id);
  expect(end).toMatchObject({ status: 'cancelled', error: { code: 'cancelled', message: 'leave it' } });
  // Two were cut off, and the others never began.
  const all = [0, 1].flatMap((outer) => [0, 1, 2].map((item) => `outer[${outer}]/each[${item}]/a`));
  expect(end.not_undone.toSorted()).toEqual(all);
  const { rows } = await database.pool.query(
    'select status, count(*)::integer from workflow_scopes where workflow_execution_id = $1 group by status',
    [id],
  );
  expect(rows).toEqual([{ status: 'completed', count: 8 }]);
  await assertInvariants(database.url);
});

test('scopes are undone up to the concurrency of their holder at a time, by two engines, and no more are in memory', async () => {
  await fixture.engine();
  const id = await engine.start(
    await engine.publish({
      steps: {
        each: foreach(60, { a: done('a') }, { concurrency: 4, collect: 'summary' }),
        c: fails(['each']),
      },
    }),
  );
  const end = await engine.end(id);
  expect(end.status).toBe('failed');
  expect(await undone(id)).toHaveLength(60);
  const { rows } = await database.pool.query(
    `select max(open) as most from (
       select sum(change) over (order by at, change) as open from (
         select started_at as at, 1 as change from workflow_step_executions s join workflow_step_templates t on t.id = s.step_template_id
          where workflow_execution_id = $1 and t.key like '%~compensation'
         union all
         select completed_at, -1 from workflow_step_executions s join workflow_step_templates t on t.id = s.step_template_id
          where workflow_execution_id = $1 and t.key like '%~compensation') changes) opened`,
    [id],
  );
  expect(Number(rows[0].most)).toBeLessThanOrEqual(4);
  await assertInvariants(database.url);
});

test('an engine that is killed while scopes are undone leaves them to another one', async () => {
  const killed = await fixture.engineProcess({ name: 'killed' });
  const id = await killed.start(
    await killed.publish({
      steps: {
        each: foreach(
          6,
          { a: { type: 'record', compensateWith: { type: 'keyed', with: { name: 'killed-scopes' } } } },
          { concurrency: 3 },
        ),
        c: fails(['each']),
      },
    }),
  );
  await isRunning(id, 'a~compensation');
  killed.kill('SIGKILL');
  await killed.exited;
  await database.openGate('killed-scopes');
  const end = await engine.end(id);
  expect(end.status).toBe('failed');
  expect(await undone(id)).toHaveLength(6);
  await assertInvariants(database.url);
});
