/**
 * Items of one foreach that run on several engines.
 */
import { expect, test } from 'bun:test';
import { type EngineDatabase, stepOf, type TestEngine } from '../../support/engine.ts';
import { fixtureForAll } from '../../support/fixture.ts';
import { until } from '../../support/until.ts';

let database: EngineDatabase;
let engine: TestEngine;

fixtureForAll(async (fixture) => {
  database = await fixture.database();
  // With one place each, so that either runs one item.
  const config = { EXECUTION_ENGINE_CONCURRENCY: '1' };
  engine = await fixture.engine({ config, name: 'one' });
  await fixture.engine({ config, name: 'other' });
});

test('an item that fails on one engine ends the handler of another item on the other engine', async () => {
  const steps = {
    waits: { type: 'until-aborted', when: '${{ item == 0 }}' },
    fails: { type: 'deaf', when: '${{ item == 1 }}', with: { name: 'fails' } },
    after: { type: 'fail', needs: ['fails'], with: { message: 'no' } },
  };
  const each = { type: 'foreach', with: { items: 2, steps } };
  // A step that has no row yet when the end of the item arrives.
  const definition = { steps: { each, last: { type: 'noop', needs: ['each'] } } };
  const id = await engine.start(await engine.publish(definition));
  await database.until(
    `select count(distinct claimed_by) = 2 from workflow_step_executions
      where workflow_execution_id = $1 and status = 'running' and scope <> ''`,
    [id],
  );
  await database.openGate('fails');
  const end = await engine.end(id);
  expect(end).toMatchObject({ status: 'failed', error: { code: 'failed', step: 'each' } });
  expect(stepOf(end, 'each').error).toMatchObject({ details: { scope: 'each[1]', step: 'after' } });
  await until(async () =>
    (await database.runs(id)).some(({ step, note }) => step === 'waits' && note !== null),
  );
  const { rows } = await database.pool.query(
    `select run, completed_count, failed_count, cancelled_count, open_count from workflow_held_scopes h
       join workflow_step_executions s on s.id = h.step_execution_id where s.workflow_execution_id = $1`,
    [id],
  );
  const numbers = { run: 1, completed_count: 0, failed_count: 1, cancelled_count: 1, open_count: 0 };
  expect(rows).toEqual([numbers]);
});
