/**
 * Engines whose clocks are wrong: two hours apart, and one that jumps. Only the database's clock decides, so what waits
 * waits its time, nothing is taken from an engine that is well, and what a dead one held is taken.
 */
import { expect, test } from 'bun:test';
import { join } from 'node:path';
import { type EngineDatabase, type EngineProcess, stepOf } from '../../support/engine.ts';
import { clockAt, clockIn, FAKETIME, setClock } from '../../support/faults/wrong-clock.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { assertInvariants } from '../../support/invariants.ts';

const HOUR_MS = 3_600_000;
const JUMPS = ['+10m', '-10m', '+2h', '-1d', '+0'];
const EXECUTIONS = 12;

let database: EngineDatabase;
let folder: string;
let early: EngineProcess;
let late: EngineProcess;
let jumping: EngineProcess;

const fixture = fixtureForAll(async () => {
  if (FAKETIME === null) return;
  database = await fixture.database();
  folder = await fixture.folder();
  await setClock(clock(), '+0');
  [early, late, jumping] = await Promise.all([
    start('early', clockAt('-1h')),
    start('late', clockAt('+1h')),
    start('jumping', clockIn(clock())),
  ]);
});

const start = (name: string, env: Record<string, string>) =>
  fixture.engineProcess({ name, config: { ...env, EXECUTION_ENGINE_CONCURRENCY: '6' } });

const clock = () => join(folder, 'clock');
const present = test.skipIf(FAKETIME === null);

/** What an engine's own clock said when it was ready. */
function readyAt(engine: EngineProcess): number {
  const line = engine
    .output()
    .split('\n')
    .find((each) => each.includes('is ready'))!;
  return new Date((JSON.parse(line) as { time: string | number }).time).getTime();
}

/** Waits of every kind, whose least lengths the database's times must show. */
const WAITS = {
  steps: {
    delay: { type: 'delay', with: { for: '300ms' } },
    until: { type: 'delay', with: { until: '${{ input.until }}' } },
    retry: { type: 'interval', with: { failures: 1 }, retry: { limit: 1, delay: '300ms', jitter: false } },
    timeout: { type: 'gate', with: { name: 'never' }, timeout: '300ms', retry: { limit: 0 } },
    after: { type: 'noop', needs: [{ step: 'timeout', on: 'failure' }] },
    parked: { type: 'parks', with: { ms: 300 } },
  },
};

const ONCE = Object.fromEntries(Object.keys(WAITS.steps).map((key) => [key, 1]));

/** In milliseconds by the database's clock: how much longer than it must each wait was, at its shortest. */
const LEFT_OVER = `
  select min(extract(epoch from s.completed_at - s.started_at) * 1000 - 300)
           filter (where t.key in ('delay', 'retry', 'timeout', 'parked'))::float8 as waits,
         min(extract(epoch from s.completed_at - (e.inputs ->> 'until')::timestamptz) * 1000)
           filter (where t.key = 'until')::float8 as until,
         min(extract(epoch from e.started_at - e.created_at) * 1000 - 300)::float8 as starts
    from workflow_executions e
    join workflow_step_executions s on s.workflow_execution_id = e.id
    join workflow_step_templates t on t.id = s.step_template_id
   where e.id = any($1::uuid[])`;

present('clocks are as wrong as this test needs them', () => {
  expect(Math.round((readyAt(late) - readyAt(early)) / HOUR_MS)).toBe(2);
});

present(
  'delays, retries, timeouts and later starts take their time, however wrong the clocks and however they jump',
  async () => {
    const template = await early.publish(WAITS);
    const { rows } = await database.pool.query("select (now() + interval '1 second')::text as until");
    const until = new Date(rows[0].until).toISOString();
    const engines = [early, late, jumping];
    const ids = await Promise.all(
      Array.from({ length: EXECUTIONS }, (_, at) =>
        engines[at % engines.length]!.start(template, { inputs: { until }, start_after: '300ms' }),
      ),
    );
    const ends = Promise.all(ids.map((id, at) => engines[(at + 1) % engines.length]!.end(id)));
    for (const jump of JUMPS) {
      await setClock(clock(), jump);
      // The process has seen the clock jump when it has answered.
      expect((await jumping.request('GET', '/health/live')).status).toBe(200);
    }
    for (const end of await ends) {
      expect(end.status).toBe('completed');
      const attempts = end.steps.map(({ key, attempt_count: count }) => [key, count]);
      expect(Object.fromEntries(attempts)).toEqual({ ...ONCE, retry: 2 });
      expect(stepOf(end, 'timeout').error).toMatchObject({ code: 'timeout' });
    }
    const found = (await database.pool.query(LEFT_OVER, [ids])).rows[0];
    for (const [what, ms] of Object.entries(found)) expect([what, Number(ms) >= 0]).toEqual([what, true]);
    await assertInvariants(database.url);
  },
);

present('an execution is over when its time is, and not an hour before or after', async () => {
  const template = await late.publish({
    timeout: '500ms',
    steps: { g: { type: 'gate', with: { name: 'never' } } },
  });
  const ids = await Promise.all([early, late, jumping].map((engine) => engine.start(template)));
  for (const id of ids) expect((await early.end(id)).status).toBe('timed_out');
  const { rows } = await database.pool.query(
    `select bool_and(completed_at - started_at >= interval '500 milliseconds') as whole
       from workflow_executions where id = any($1::uuid[])`,
    [ids],
  );
  expect(rows[0].whole).toBe(true);
  await assertInvariants(database.url);
});

present(
  'what an engine with a wrong clock held when it was killed goes on elsewhere; of the others nothing is taken',
  async () => {
    // The slots of all four.
    const doomed = await start('doomed', clockAt('+1h'));
    const steps = Object.fromEntries(
      Array.from({ length: 24 }, (_, at) => [
        `g${at}`,
        { type: 'gate', with: { name: 'held' }, retry: { limit: 0 } },
      ]),
    );
    const id = await early.start(await early.publish({ steps }));
    await database.until('select count(*) = 24 from test_runs where execution_id = $1', [id]);
    const before = await database.runs(id);
    expect(new Set(before.map(({ engine }) => engine)).size).toBe(4);
    doomed.kill('SIGKILL');
    await doomed.exited;
    await setClock(clock(), '+1d');
    await database.openGate('held');
    const end = await early.end(id);
    expect(end.status).toBe('completed');
    for (const { step, engine } of before) {
      const attempts = engine === 'doomed' ? 2 : 1;
      expect({ step, attempts: stepOf(end, step).attempt_count }).toEqual({ step, attempts });
    }
    await assertInvariants(database.url);
  },
);
