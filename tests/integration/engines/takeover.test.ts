/**
 * Engines that share a database: work is shared, and what a killed one held is taken over.
 */
import { expect, test } from 'bun:test';
import { afterBeats } from '../../support/database/heartbeats.ts';
import { type EngineDatabase, type EngineProcess, stepOf } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { assertInvariants } from '../../support/invariants.ts';
import { until } from '../../support/until.ts';
import { startSideBySide } from '../../support/volume.ts';
import { chainsSideBySide } from '../../support/wide-definition.ts';

const CONFIG = { EXECUTION_ENGINE_CONCURRENCY: '8' };
const TAKEN_OVER = 'An engine is gone; its steps are taken over';

let database: EngineDatabase;
let one: EngineProcess;
let two: EngineProcess;

const fixture = fixtureForAll(async () => {
  database = await fixture.database();
  one = await fixture.engineProcess({ name: 'one', config: CONFIG });
  two = await fixture.engineProcess({ name: 'two', config: CONFIG });
});

/** Each step writes its idempotency key down. */
const GATED = {
  steps: Object.fromEntries(
    Array.from({ length: 12 }, (_, at) => [
      `g${at}`,
      { type: 'keyed', with: { name: '${{ input.gate }}' }, retry: { limit: 0 } },
    ]),
  ),
};

test('two engines share the steps of one execution', async () => {
  const id = await one.start(await one.publish(GATED), { inputs: { gate: 'shared' } });
  await database.until('select count(*) = 12 from test_runs where execution_id = $1', [id]);
  const runs = await database.runs(id);
  expect(new Set(runs.map(({ engine }) => engine))).toEqual(new Set(['one', 'two']));
  await assertInvariants(database.url, { allFinal: false });
  await database.openGate('shared');
  expect((await two.end(id)).status).toBe('completed');
});

test('the steps of many executions are taken over in several commits', async () => {
  const holder = await fixture.engineProcess({
    name: 'holder',
    config: { EXECUTION_ENGINE_CONCURRENCY: '150' },
  });
  await holder.publish({ name: 'many', steps: { g: { type: 'gate', with: { name: '${{ input.gate }}' } } } });
  // Engines that know the definition hand in all rescues at once.
  await database.openGate('known');
  for (const engine of [one, two])
    await engine.end(await engine.start('many', { inputs: { gate: 'known' } }));
  const items = Array.from({ length: 120 }, () => ({ template: 'many', inputs: { gate: 'many' } }));
  const ids = (await holder.client.startMany(items)).map(({ execution_id }) => execution_id);
  await database.until(
    `select count(*) >= 100 from workflow_step_executions where workflow_execution_id = any($1) and claimed_by = $2`,
    [ids, holder.id],
  );
  holder.kill('SIGKILL');
  await database.until(
    'select count(*) = 0 from workflow_step_executions where workflow_execution_id = any($1) and claimed_by = $2',
    [ids, holder.id],
  );
  const { rows } = await database.pool.query(
    `select max(count)::integer as most from (
       select count(*) from workflow_step_executions where workflow_execution_id = any($1) group by xmin::text) commits`,
    [ids],
  );
  expect(rows[0].most).toBeLessThanOrEqual(50);
  await database.openGate('many');
  for (const id of ids) expect((await two.end(id)).status).toBe('completed');
});

test('an engine hears of the end of an execution that another one finished', async () => {
  const id = await one.start(await one.publish({ steps: { g: { type: 'gate', with: { name: 'heard' } } } }));
  const ends = Promise.all([one.end(id), two.end(id)]);
  await database.openGate('heard');
  expect((await ends).map(({ status }) => status)).toEqual(['completed', 'completed']);
});

test('an engine that was frozen is taken over; it says once that it was silent, and what it gives back is refused', async () => {
  const frozen = await fixture.engineProcess({ name: 'frozen' });
  try {
    const id = await frozen.start(
      await frozen.publish({
        steps: {
          g: { type: 'gate', with: { name: 'frozen', value: 1 } },
          after: { type: 'record', needs: ['g'] },
        },
      }),
    );
    await database.until(`select engine = 'frozen' from test_runs where execution_id = $1`, [id]);
    frozen.kill('SIGSTOP');
    await database.openGate('frozen');
    const end = await two.end(id);
    expect(end.status).toBe('completed');
    expect(stepOf(end, 'g').attempt_count).toBe(2);
    frozen.kill('SIGCONT');
    await frozen.metricReaches('execution_engine_stale_completions_total', 1);
    expect(await two.end(id)).toEqual(end);
    const later = await frozen.run({ steps: { a: { type: 'record' } } });
    expect(later.status).toBe('completed');
    await assertInvariants(database.url);
    // Rounds in which it could say it again.
    await afterBeats(database, frozen.id, 3);
    frozen.kill('SIGTERM');
    await frozen.exited;
    expect(frozen.output().split('This engine was silent').length - 1).toBe(1);
  } finally {
    frozen.kill('SIGTERM');
    await frozen.exited;
  }
});

test('what an engine held that was killed with SIGKILL runs elsewhere under the same key, with the attempt counted and no retry used', async () => {
  const definition = {
    steps: { ...GATED.steps, after: { type: 'record', needs: Object.keys(GATED.steps) } },
  };
  // Its slots alone are too few: some of the steps run on the others.
  const doomed = await fixture.engineProcess({ name: 'doomed', config: CONFIG });
  const template = await doomed.publish(definition);
  const id = await doomed.start(template, { inputs: { gate: 'killed' } });
  await database.until('select count(*) = 12 from test_runs where execution_id = $1', [id]);
  const before = await database.runs(id);
  const lost = before.filter(({ engine }) => engine === 'doomed').map(({ step }) => step);
  expect(lost.length).toBeGreaterThan(0);

  const others = await startSideBySide(two, chainsSideBySide(4, 5, 'record'), 20);
  doomed.kill('SIGKILL');
  expect(await doomed.exited).toBeNull();
  await database.openGate('killed');

  const end = await two.end(id);
  expect(end.status).toBe('completed');
  for (const { step, engine } of before) {
    const attempts = engine === 'doomed' ? 2 : 1;
    expect({ step, attempts: stepOf(end, step).attempt_count }).toEqual({ step, attempts });
  }
  const { rows } = await database.pool.query(
    `select coalesce(sum(retry_count), 0)::integer as retries from workflow_step_executions where workflow_execution_id = $1`,
    [id],
  );
  expect(rows[0].retries).toBe(0);
  const again = (await database.runs(id)).filter(({ attempt }) => attempt === 2);
  expect(again.map(({ step }) => step).sort()).toEqual(lost.sort());
  expect(again.map(({ engine }) => engine)).not.toContain('doomed');
  await until(() => [one, two].some((engine) => engine.output().includes(TAKEN_OVER)));
  const keys = new Map(before.map(({ step, note }) => [step, note]));
  expect(new Set(keys.values()).size).toBe(12);
  for (const { step, note } of again) expect({ step, key: note }).toEqual({ step, key: keys.get(step)! });
  for (const other of others) expect((await two.end(other)).status).toBe('completed');
});
